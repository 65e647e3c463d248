"""One score: the aspects are mixed in wherever a ranker scores, whatever the batch or chunk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from langgraph_cooper.ranker import trained
from langgraph_cooper.ranker.api import ScoredTopic
from langgraph_cooper.ranker.data.dialogue import Utterance
from langgraph_cooper.ranker.load import load_ranker
from langgraph_cooper.ranker.model.evidence import TurnVectors
from langgraph_cooper.ranker.model.next_utterance import NextUtterancePrediction
from langgraph_cooper.ranker.model.ranker import CooperRanker, mix_in_aspects
from langgraph_cooper.ranker.trained import EvidenceAlone
from tests.ranker.tiny import ASPECTS, HISTORY, TOPICS, random_ranker, ranker_config, turn_vectors

OWNERS = [0, 0, 1, 2]
SCORES = [1.0, 0.0, 3.0, -1.0]
PROBABILITIES = [0.5, 0.2, 0.25, 0.1]


def mixed(scores: list[float], owners: list[int], p: list[float], weight: float) -> np.ndarray:
    """Two turns, of which the first is padded in front of garbage."""
    values = torch.tensor([[*scores, 99.0], [*scores, 1.0]], dtype=torch.float64)
    aspects = torch.tensor([[*owners, 0], [*owners, owners[0]]])
    mask = torch.ones_like(aspects, dtype=torch.bool)
    mask[0, -1] = False
    found = mix_in_aspects(values, aspects, mask, torch.tensor([p, p]).double(), weight)
    return np.asarray(found[0, :-1])


def test_by_hand() -> None:
    mass = np.log((np.e + 1) / 2)
    whole = mixed(SCORES, OWNERS, PROBABILITIES, 1.0)
    expected = [1 - mass + np.log(0.5), -mass + np.log(0.5), np.log(0.2), np.log(0.25)]
    np.testing.assert_allclose(whole, expected, atol=1e-7)
    half = mixed(SCORES, OWNERS, PROBABILITIES, 0.5)
    np.testing.assert_allclose(half, (np.array(SCORES) + whole) / 2)
    np.testing.assert_array_equal(mixed(SCORES, OWNERS, PROBABILITIES, 0.0), SCORES)


def test_order_within_an_aspect_stays_and_extremes_stay_finite() -> None:
    found = mixed([1e4, -1e4, 5.0], [1, 1, 0], [0.0, 1.0, 0.0], 0.7)
    assert np.isfinite(found).all()
    assert found[0] > found[1]


@pytest.fixture
def folder(tiny_transformer: str, tiny_encoder: str, tmp_path: Path) -> Path:
    model = random_ranker(ranker_config(tiny_transformer, tiny_encoder, decision=0.6))
    model.save_pretrained(tmp_path, half=False)
    return tmp_path


def by_formula(raw: np.ndarray, owners: np.ndarray, p: np.ndarray, weight: float) -> np.ndarray:
    found = raw.astype(np.float64)
    for aspect in set(owners.tolist()):
        own = owners == aspect
        mass = np.log(np.exp(raw[own].astype(np.float64)).mean())
        found[own] += weight * (np.log(max(p[aspect], 1e-3)) - mass)
    return found


@pytest.mark.parametrize("form", ["packed", "pairwise"])
def test_forward_is_the_mixed_score_of_every_turn_in_a_batch(
    folder: Path, states: torch.Tensor, form: Any
) -> None:
    model = CooperRanker.from_pretrained(folder)
    turns = [model.tokenizer.turn(HISTORY, TOPICS[:count]) for count in (5, 2)]
    one = turn_vectors()
    topics = one.topics.repeat(2, 1, 1)
    topics[1, 2:] = 0.0
    predicted = NextUtterancePrediction(*(value.repeat(2, 1) for value in one.predicted))
    vectors = TurnVectors(topics, one.recent.repeat(2, 1, 1), one.rounds.repeat(2), predicted)
    owners = torch.tensor([[2, 2, 1, 3, 0], [1, 1, 0, 0, 0]])
    signals = model.signals(states.expand(2, -1, -1))
    tokens = model.tokens(turns, form)
    assert tokens.mask.sum(dim=1).tolist() == [5, 2]
    with torch.inference_mode():
        scores = model(tokens, owners, signals, vectors)
        raw = model.raw_scores(model.encode(tokens), owners, signals, vectors)
    assert scores.dtype == torch.float64
    for row, count in enumerate((5, 2)):
        p = predicted.aspects[row].numpy()
        expected = by_formula(raw[row, :count].numpy(), owners[row, :count].numpy(), p, 0.6)
        np.testing.assert_allclose(scores[row, :count], expected, atol=1e-5)
        assert np.abs(expected - raw[row, :count].numpy()).max() > 0.1


@pytest.mark.parametrize("form", ["packed", "pairwise"])
def test_a_long_turn_in_chunks_is_scored_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, form: Any
) -> None:
    ranker = load_ranker(folder, precision="float32", form=form)
    signals = {name: ranker.progression(name, "x").signal for name in ASPECTS}
    names = (*ASPECTS, "passive")
    many = [ScoredTopic(names[i * 7 % 4], f"{TOPICS[i % 5]} {i}") for i in range(40)]
    whole = ranker.score(HISTORY, many, signals)
    monkeypatch.setattr(trained, "ROW_TOKENS", 60)
    np.testing.assert_allclose(ranker.score(HISTORY, many, signals), whole, atol=1e-4)


def test_the_evidence_alone_is_mixed_alike(folder: Path) -> None:
    ranker = load_ranker(folder, precision="float32")
    candidates = [ScoredTopic(ASPECTS[i % 2], topic) for i, topic in enumerate(TOPICS)]
    aspects, vectors = ranker.inputs(HISTORY, candidates)
    assert vectors is not None
    assert ranker.model.evidence is not None
    raw = ranker.model.evidence(vectors, aspects)[0].numpy()
    p = vectors.predicted.aspects[0].numpy()
    expected = by_formula(raw, aspects[0].numpy(), p, 0.6)
    np.testing.assert_allclose(EvidenceAlone(ranker).score(HISTORY, candidates, {}), expected)


def test_a_ranker_without_evidence_has_no_scores_by_it(tiny_transformer: str) -> None:
    model = random_ranker(ranker_config(tiny_transformer, evidence=False))
    with pytest.raises(ValueError, match="has no evidence"):
        model.evidence_scores(torch.tensor([[0]]), turn_vectors(1), torch.tensor([[True]]))


@pytest.mark.parametrize("due", [0, 2])
def test_saved_loaded_and_used_at_inference(
    tiny_transformer: str, tiny_encoder: str, tmp_path: Path, due: int
) -> None:
    model = random_ranker(ranker_config(tiny_transformer, tiny_encoder, decision=1.0))
    assert model.evidence is not None
    prediction = model.evidence.expectation
    prediction.aspect_weight.zero_()
    prediction.aspect_bias.fill_(-9.0)
    prediction.aspect_bias[due] = 9.0
    model.save_pretrained(tmp_path)
    ranker = load_ranker(tmp_path, aspects=ASPECTS, precision="float32")
    signals = {name: ranker.progression(name, "x").signal for name in ASPECTS}
    owners = ("exploration", "comforting", "action", "passive", "exploration")
    candidates = [ScoredTopic(*pair) for pair in zip(owners, TOPICS, strict=True)]
    history = [*HISTORY, Utterance("system", "and then?")]
    scores = ranker.score(history, candidates, signals)
    assert owners[int(np.argmax(scores))] == ASPECTS[due]


def test_it_needs_a_prediction_of_the_aspects() -> None:
    with pytest.raises(ValueError, match="decision needs evidence, which predicts the aspects"):
        ranker_config("none", decision=0.5, evidence=False)
