"""The decision between the aspects: fitted once, taken into the scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import ASPECTS, HISTORY, TOPICS, random_ranker, ranker_config

from langgraph_cooper.ranker.decision import AspectDecision, decide
from langgraph_cooper.ranker.dialogue import Utterance
from langgraph_cooper.ranker.inference import ScoredTopic, load_ranker

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


def test_it_learns_what_the_round_and_the_last_utterance_tell() -> None:
    generator = torch.Generator().manual_seed(0)
    rounds = torch.arange(400) % 4 + 1
    recent = torch.nn.functional.normalize(torch.randn(400, 3, 8, generator=generator), dim=-1)
    asked = recent[:, 0, 0] > 0
    promoted = torch.stack([rounds == 1, asked, torch.ones(400), torch.zeros(400)], dim=1).float()
    decision = AspectDecision(3, 3, 8)
    decision.fit(recent, rounds, promoted)
    found = decision(recent, rounds)
    assert found.shape == (400, 4)
    early = found[rounds == 1, 0].mean() - found[rounds != 1, 0].mean()
    assert early > 0.1
    assert found[asked, 1].mean() - found[~asked, 1].mean() > 0.02
    assert (found[:, 2] > 0.99).all()
    assert (found[:, 3] < 0.01).all()
    torch.testing.assert_close(found[rounds == 3], decision(recent, rounds + 7)[rounds == 3])


def test_saved_loaded_and_used_at_inference(
    tiny_transformer: str, tiny_encoder: str, tmp_path: Path
) -> None:
    model = random_ranker(ranker_config(tiny_transformer, tiny_encoder, decision=1.0))
    assert model.decision is not None
    model.decision.bias.copy_(torch.tensor([9.0, -9.0, -9.0, -9.0]))
    model.save_pretrained(tmp_path)
    ranker = load_ranker(tmp_path, aspects=ASPECTS, precision="float32")
    signals = {name: ranker.progression(name, "x").signal for name in ASPECTS}
    owners = ("exploration", "comforting", "action", "passive", "exploration")
    candidates = [ScoredTopic(*pair) for pair in zip(owners, TOPICS, strict=True)]
    history = [*HISTORY, Utterance("system", "and then?")]
    scores = ranker.score(history, candidates, signals)
    assert {owners[i] for i in np.argsort(scores)[-2:]} == {"exploration"}


def test_it_needs_rounds_and_embeddings() -> None:
    with pytest.raises(ValueError, match="decision needs rounds and affinity"):
        ranker_config("none", decision=0.5, affinity=False)
