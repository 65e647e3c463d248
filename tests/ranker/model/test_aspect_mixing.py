"""The decision between the aspects, taken into the scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from langgraph_cooper.ranker.api import ScoredTopic
from langgraph_cooper.ranker.data.dialogue import Utterance
from langgraph_cooper.ranker.load import load_ranker
from langgraph_cooper.ranker.model.aspect_mixing import decide
from tests.ranker.tiny import ASPECTS, HISTORY, TOPICS, random_ranker, ranker_config

OWNERS = [0, 0, 1, 2]
SCORES = [1.0, 0.0, 3.0, -1.0]
PROBABILITIES = [0.5, 0.2, 0.25, 0.1]


def test_by_hand() -> None:
    mass = np.log((np.e + 1) / 2)
    whole = decide(SCORES, OWNERS, PROBABILITIES, 1.0)
    expected = [1 - mass + np.log(0.5), -mass + np.log(0.5), np.log(0.2), np.log(0.25)]
    np.testing.assert_allclose(whole, expected)
    half = decide(SCORES, OWNERS, PROBABILITIES, 0.5)
    np.testing.assert_allclose(half, (np.array(SCORES) + whole) / 2)
    np.testing.assert_array_equal(decide(SCORES, OWNERS, PROBABILITIES, 0.0), SCORES)


def test_order_within_an_aspect_stays_and_extremes_stay_finite() -> None:
    scores = [1e4, -1e4, 5.0]
    decided = decide(scores, [1, 1, 0], [0.0, 1.0, 0.0], 0.7)
    assert np.isfinite(decided).all()
    assert decided[0] > decided[1]


@pytest.mark.parametrize("due", [0, 2])
def test_saved_loaded_and_used_at_inference(
    tiny_transformer: str, tiny_encoder: str, tmp_path: Path, due: int
) -> None:
    model = random_ranker(ranker_config(tiny_transformer, tiny_encoder, decision=1.0))
    assert model.evidence is not None
    expectation = model.evidence.expectation
    expectation.aspect_weight.zero_()
    expectation.aspect_bias.fill_(-9.0)
    expectation.aspect_bias[due] = 9.0
    model.save_pretrained(tmp_path)
    ranker = load_ranker(tmp_path, aspects=ASPECTS, precision="float32")
    signals = {name: ranker.progression(name, "x").signal for name in ASPECTS}
    owners = ("exploration", "comforting", "action", "passive", "exploration")
    candidates = [ScoredTopic(*pair) for pair in zip(owners, TOPICS, strict=True)]
    history = [*HISTORY, Utterance("system", "and then?")]
    scores = ranker.score(history, candidates, signals)
    assert owners[int(np.argmax(scores))] == ASPECTS[due]


def test_it_needs_what_is_expected() -> None:
    with pytest.raises(ValueError, match="decision needs the evidence's expectation"):
        ranker_config("none", decision=0.5, evidence=False)
