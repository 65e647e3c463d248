"""Evaluation: all rankings on the same turns, with what was left out and what it cost to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from langgraph_cooper.prompts import TaskSpec, load_task
from langgraph_cooper.ranker.api import Array, Progression, ScoredTopic
from langgraph_cooper.ranker.data.dialogue import (
    AnnotatedDialogue,
    DataError,
    Utterance,
    dialogue_round,
)
from langgraph_cooper.ranker.evaluation.aspect_prior import AspectPrior, promoted_turns
from langgraph_cooper.ranker.evaluation.holm import holm
from langgraph_cooper.ranker.evaluation.report import (
    COOPER,
    NAMES,
    UNCALIBRATED,
    MeasuredTurns,
    evaluate_rankings,
)
from tests.ranker.toys import DIMENSION, STRATEGY, encode, toy_dialogues, toy_task

ORDER = tuple(STRATEGY)
METRICS = {f"{name}@{n}" for name in ("hit", "precision") for n in range(1, 6)} | {"ndcg@5"}


class KnowingRanker:
    """Knows which aspect is due in which round; `shift` makes it know wrongly."""

    name, trained, dimension = "knowing", True, DIMENSION

    def __init__(self, shift: int = 0) -> None:
        self.shift = shift
        self.states: list[str] = []

    def embed(self, texts: Sequence[str]) -> Array:
        return encode(texts)

    def progression(self, aspect: str, state: str) -> Progression:
        self.states.append(state)
        return Progression(np.zeros((2, DIMENSION), np.float32), (), 0.0)

    def score(
        self,
        history: Sequence[Utterance],
        candidates: Sequence[ScoredTopic],
        signals: Mapping[str, Array],
    ) -> list[float]:
        assert set(signals) == set(ORDER)
        due = ORDER[(dialogue_round(history) - 1 + self.shift) % 3]
        words = set(history[0].text.split())
        return [
            2.0 * (topic.aspect == due) + bool(words & set(topic.topic.split()))
            for topic in candidates
        ]


@pytest.fixture
def task() -> TaskSpec:
    return toy_task(load_task("esc").prompts)


@pytest.fixture
def dialogues() -> list[AnnotatedDialogue]:
    return toy_dialogues(12)


@pytest.fixture
def prior(dialogues: list[AnnotatedDialogue], task: TaskSpec) -> AspectPrior:
    return AspectPrior.count(promoted_turns(dialogues, task))


def test_a_report_has_every_ranking_and_its_p_values(
    dialogues: list[AnnotatedDialogue], task: TaskSpec, prior: AspectPrior
) -> None:
    measured = MeasuredTurns.label(dialogues, task, encode)
    wrong = [-turn.labels.astype(float) for turn in measured.turns]
    evaluation = evaluate_rankings(
        measured,
        KnowingRanker(),
        prior,
        others={
            "evidence alone": KnowingRanker(),
            "without progression": KnowingRanker(1),
            "mine": KnowingRanker(2),
        },
        given={"llm": wrong},
    )
    report = evaluation.report(samples=500)
    assert list(report)[:3] == ["turns", "rankings", "p_values"]
    assert report["turns"] == 36
    names = {*NAMES, "mine"} - {UNCALIBRATED}  # this ranker has no calibration
    assert set(report["rankings"]) == names
    assert set(report["p_values"]) == names - {COOPER}
    assert "coordination" not in report
    for values in report["p_values"].values():
        assert set(values) == METRICS
        assert all(0 < p <= 1 for p in values.values())
    tests = [(name, metric) for name in names - {COOPER} for metric in METRICS]
    corrected = {(name, at): report["p_holm"][name][at] for name, at in tests}
    given = {(name, at): report["p_values"][name][at] for name, at in tests}
    assert corrected == holm(given)
    assert min(corrected.values()) == pytest.approx(len(tests) * min(given.values()))
    ours = report["rankings"][COOPER]
    assert ours["hit"] == [1.0] * 5
    assert ours["precision"][:2] == [1.0, 1.0]
    assert report["rankings"]["llm"]["hit"][4] < 1.0
    assert report["rankings"]["without progression"]["precision"][0] == 0.0
    assert report["p_values"]["without progression"]["hit@1"] < 0.01
    assert report["distances"][COOPER] == pytest.approx(0.0)
    assert report["distances"]["without progression"] == pytest.approx(1.0)
    assert set(report["by_round"]["shares"]) == {*names, "ground truth"}


def test_what_is_left_out_is_counted_by_reason(
    dialogues: list[AnnotatedDialogue], task: TaskSpec, prior: AspectPrior
) -> None:
    first, second, third, *others = dialogues
    none, one = first.turns[0], second.turns[0]
    said = third.utterances[1].model_copy(update={"strategies": ("Singing",)})
    changed = [
        first.model_copy(
            update={"turns": (none.model_copy(update={"candidates": ()}), *first.turns[1:])}
        ),
        second.model_copy(
            update={
                "turns": (
                    one.model_copy(update={"candidates": one.candidates[-1:]}),
                    *second.turns[1:],
                )
            }
        ),
        third.model_copy(update={"utterances": (third.utterances[0], said, *third.utterances[2:])}),
        others[0].model_copy(update={"turns": others[0].turns[:1]}),
        *others[1:],
    ]
    measured = MeasuredTurns.label(changed, task, encode)
    assert measured.skipped == {"not annotated": 2, "no candidates": 1, "no known strategy": 1}
    report = evaluate_rankings(measured, KnowingRanker(), prior).report(samples=10)
    assert report["turns"] == 36 - 4
    assert report["skipped"] == dict(measured.skipped)
    assert report["one_candidate"] == 1
    assert report["nothing_relevant"] == 1  # that one candidate is passive


def test_it_says_when_the_weight_was_tuned_on_what_is_measured(
    dialogues: list[AnnotatedDialogue], task: TaskSpec, prior: AspectPrior
) -> None:
    def weight(own: AspectPrior) -> dict[str, object]:
        measured = MeasuredTurns.label(dialogues, task, encode)
        report = evaluate_rankings(measured, KnowingRanker(), own).report(samples=10)
        found: dict[str, object] = report["similarity_weight"]
        return found

    assert weight(prior) == {"value": 0.3, "tuned": False}
    other = toy_dialogues(5, first=100)
    assert weight(prior.tuned(other, task, encode))["measured_among_them"] == 0
    some = weight(prior.tuned([*dialogues[:4], *other], task, encode))
    assert (some["tuned_on_dialogues"], some["measured_among_them"]) == (9, 4)


def test_progress_is_told_over_all_rankers(
    dialogues: list[AnnotatedDialogue], task: TaskSpec, prior: AspectPrior
) -> None:
    told: list[tuple[int, int]] = []
    measured = MeasuredTurns.label(dialogues[:2], task, encode)
    evaluate_rankings(
        measured,
        KnowingRanker(),
        prior,
        others={"mine": KnowingRanker()},
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(done, 12) for done in range(1, 13)]


def test_foreign_files_are_one_error(dialogues: list[AnnotatedDialogue], task: TaskSpec) -> None:
    with pytest.raises(DataError, match="aspect 'explore', which the task 'esc'"):
        MeasuredTurns.label(dialogues, load_task("esc"), encode)
    bare = [dialogue.model_copy(update={"turns": ()}) for dialogue in dialogues]
    with pytest.raises(DataError, match="none of the 36 turns"):
        MeasuredTurns.label(bare, task, encode)
