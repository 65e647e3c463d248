"""Rankings that learn nothing: what they score."""

from __future__ import annotations

import numpy as np
import pytest

from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue
from langgraph_cooper.ranker.data.labels import LabelledTurn, label_turns
from langgraph_cooper.ranker.evaluation.baselines import (
    constant_aspect_scores,
    random_scores,
    similarity_scores,
)
from langgraph_cooper.ranker.evaluation.metrics import measure
from tests.ranker.toys import encode, toy_dialogues, toy_task


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


def test_similarity_is_to_the_last_three_utterances(
    turns: list[LabelledTurn], dialogues: list[AnnotatedDialogue]
) -> None:
    scores = similarity_scores(turns, dialogues, encode)
    last = turns[2]  # round 3, history of five utterances
    recent = " ".join(u.text for u in dialogues[0].utterances[2:5])
    topics = [candidate.topic for candidate in last.turn.candidates]
    np.testing.assert_allclose(scores[2], encode(topics) @ encode([recent])[0], atol=1e-6)
