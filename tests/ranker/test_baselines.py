"""Baselines: what they score, and that the prior learns the rounds."""

from __future__ import annotations

import numpy as np
import pytest
from toys import encode, toy_dialogues, toy_task

from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.annotated import AnnotatedDialogue
from langgraph_cooper.ranker.baselines import (
    RoundPrior,
    commonest_aspect,
    constant_aspect_scores,
    random_scores,
    similarity_scores,
)
from langgraph_cooper.ranker.labels import LabelledTurn, label_turns
from langgraph_cooper.ranker.metrics import measure


@pytest.fixture
def dialogues() -> list[AnnotatedDialogue]:
    return toy_dialogues(20)


@pytest.fixture
def turns(dialogues: list[AnnotatedDialogue]) -> list[LabelledTurn]:
    return label_turns(dialogues, toy_task(load_task("esc").prompts), encode).turns


def test_random_is_seeded_and_finds_its_share(turns: list[LabelledTurn]) -> None:
    one, other = random_scores(turns, seed=1), random_scores(turns, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    share = np.mean(
        [measure(turns, random_scores(turns, seed=s)).means()["hit@1"] for s in range(40)]
    )
    assert share == pytest.approx(1 / 7, abs=0.03)


def test_constant_aspect_is_always_first(turns: list[LabelledTurn]) -> None:
    scores = constant_aspect_scores(turns, "comfort")
    best = [
        turn.turn.candidates[int(np.argmax(s))].aspect
        for turn, s in zip(turns, scores, strict=True)
    ]
    assert set(best) == {"comfort"}
    assert measure(turns, scores).means()["precision@1"] == pytest.approx(1 / 3)


def test_commonest_aspect(turns: list[LabelledTurn]) -> None:
    kept = [turn for turn in turns if turn.round != 3 or turn.dialogue == 0]
    assert commonest_aspect(kept) in {"explore", "comfort"}
    assert commonest_aspect([t for t in turns if "act" in t.promoted]) == "act"


def test_similarity_is_to_the_last_three_utterances(
    turns: list[LabelledTurn], dialogues: list[AnnotatedDialogue]
) -> None:
    scores = similarity_scores(turns, dialogues, encode)
    last = turns[2]  # round 3, history of five utterances
    recent = " ".join(u.text for u in dialogues[0].utterances[2:5])
    topics = [candidate.topic for candidate in last.turn.candidates]
    np.testing.assert_allclose(scores[2], encode(topics) @ encode([recent])[0], atol=1e-6)


def test_the_prior_knows_the_rounds(
    turns: list[LabelledTurn], dialogues: list[AnnotatedDialogue]
) -> None:
    prior = RoundPrior(turns, smoothing=0.0)
    assert prior.probability("explore", 1) == 1.0
    assert prior.probability("explore", 2) == 0.0
    assert prior.probability("explore", 99) == pytest.approx(1 / 3)
    assert prior.probability("passive", 1) == 0.0
    similarity = similarity_scores(turns, dialogues, encode)
    figures = measure(turns, prior.scores(turns, similarity, weight=0.3)).means()
    assert figures["precision@1"] == 1.0


def test_smoothing_pulls_towards_the_overall_share(turns: list[LabelledTurn]) -> None:
    prior = RoundPrior(turns, smoothing=20.0)  # 20 turns in each round
    assert prior.probability("explore", 1) == pytest.approx((20 + 20 / 3) / 40)


def test_the_weight_is_tuned(turns: list[LabelledTurn], dialogues: list[AnnotatedDialogue]) -> None:
    prior = RoundPrior(turns)
    similarity = similarity_scores(turns, dialogues, encode)
    weight = prior.tune(turns, similarity, metric="hit@1", weights=(50.0, 0.3))
    assert weight == 0.3  # with 50 the similarity drowns the prior
