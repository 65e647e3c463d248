"""Pseudo-labels: the two criteria, distinct texts once, the slow way gives the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from langgraph_cooper.prompts import TaskSpec, load_task
from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.data.labels import (
    Embeddings,
    Floats,
    label_turns,
    rank_labels,
)
from tests.benchmarks.labels import label_one_by_one
from tests.ranker.toys import encode, said, toy_dialogue, toy_dialogues, toy_task


@pytest.fixture
def task() -> TaskSpec:
    return toy_task(load_task("esc").prompts)


def test_aspect_comes_before_similarity() -> None:
    hits = np.array([False, True, True, False])
    similarity = np.array([0.9, 0.1, 0.3, 0.95], np.float32)
    assert rank_labels(hits, similarity).tolist() == [1, 3, 4, 2]


def test_equal_candidates_keep_their_order() -> None:
    assert rank_labels(np.array([True] * 3), np.zeros(3, np.float32)).tolist() == [3, 2, 1]


def test_labels_of_a_dialogue(task: TaskSpec) -> None:
    turns, skipped = label_turns([toy_dialogue(0)], task, encode)
    assert skipped == 0
    assert [turn.round for turn in turns] == [1, 2, 3]
    first = turns[0]
    assert first.promoted == {"explore"}
    assert first.hits.tolist() == [True, True, False, False, False, False, False]
    assert first.labels[0] == 7  # "explore work" against "explore work now"
    assert first.labels[1] == 6
    assert sorted(first.labels.tolist()) == list(range(1, 8))


def test_an_aspect_without_a_state_is_one_error(task: TaskSpec) -> None:
    dialogue = toy_dialogue(0)
    states = dict(dialogue.turns[0].states)
    del states["comfort"]
    turn = dialogue.turns[0].model_copy(update={"states": states})
    lacking = dialogue.model_copy(update={"turns": (turn, *dialogue.turns[1:])})
    with pytest.raises(DataError, match="no state of the aspect 'comfort'"):
        label_turns([lacking], task, encode)


def test_merged_utterances_promote_all_their_aspects(task: TaskSpec) -> None:
    dialogue = toy_dialogue(0)
    both = said("system", "x", "Question", "Suggestion")
    utterances = (dialogue.utterances[0], both, *dialogue.utterances[2:])
    changed = dialogue.model_copy(update={"utterances": utterances})
    assert label_turns([changed], task, encode).turns[0].promoted == {"explore", "act"}


def test_turns_without_a_known_strategy_are_counted(task: TaskSpec) -> None:
    dialogue = toy_dialogue(0)
    unlabelled = (dialogue.utterances[0], said("system", "x", "Juggling"))
    changed = dialogue.model_copy(update={"utterances": unlabelled + dialogue.utterances[2:]})
    turns, skipped = label_turns([changed, toy_dialogue(1)], task, encode)
    assert (len(turns), skipped) == (5, 1)


def test_each_distinct_text_is_embedded_once(task: TaskSpec) -> None:
    seen: list[str] = []
    calls: list[int] = []

    def counting(texts: Sequence[str]) -> Floats:
        seen.extend(texts)
        calls.append(len(texts))
        return encode(texts)

    label_turns(toy_dialogues(6), task, counting)
    assert len(seen) == len(set(seen))
    assert len(calls) == 1


def test_one_by_one_gives_the_same_labels(task: TaskSpec) -> None:
    dialogues = toy_dialogues(4)
    turns = label_turns(dialogues, task, encode).turns
    slow = label_one_by_one(dialogues, task, encode)
    for turn, (labels, similarity) in zip(turns, slow, strict=True):
        assert turn.labels.tolist() == labels
        np.testing.assert_allclose(turn.similarity, similarity, atol=1e-6)


def test_embeddings_of_nothing() -> None:
    assert len(Embeddings([], encode)([])) == 0
