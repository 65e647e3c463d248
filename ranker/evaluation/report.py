"""Comparing a trained ranker with other rankings of the same turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from langgraph_cooper.prompts.task import PASSIVE, TaskSpec
from langgraph_cooper.ranker.api import Ranker, ScoredTopic, finite
from langgraph_cooper.ranker.data.dialogue import (
    AnnotatedDialogue,
    DataError,
    Utterance,
    fingerprint,
)
from langgraph_cooper.ranker.data.labels import Encode, LabelledTurn, label_turns
from langgraph_cooper.ranker.evaluation.aspect_prior import AspectPrior
from langgraph_cooper.ranker.evaluation.baselines import (
    Scores,
    constant_aspect_scores,
    random_scores,
    similarity_scores,
)
from langgraph_cooper.ranker.evaluation.bootstrap import Bootstrap
from langgraph_cooper.ranker.evaluation.coordination import (
    Dice,
    Expected,
    Trade,
    coordinated,
    expectations,
)
from langgraph_cooper.ranker.evaluation.holm import holm
from langgraph_cooper.ranker.evaluation.metrics import DEPTH, Figures, measure
from langgraph_cooper.ranker.evaluation.rounds import (
    chosen_by_round,
    distance,
    promoted_by_round,
    turns_per_round,
)
from langgraph_cooper.ranker.model.calibration import Calibration

# The rankings' names in a report. They are part of its file form.
RANDOM = "random"
COMMONEST = "commonest aspect"
SIMILARITY = "similarity"
PRIOR = "prior + similarity"
EVIDENCE = "evidence alone"
WITHOUT_PROGRESSION = "without progression"
LLM = "llm"
UNCALIBRATED = "uncalibrated"
COOPER = "cooper"
NAMES = (
    *(RANDOM, COMMONEST, SIMILARITY, PRIOR, EVIDENCE, WITHOUT_PROGRESSION, LLM),
    *(UNCALIBRATED, COOPER),
)

GROUND_TRUTH = "ground truth"

BATCH = 64
"""Turns whose states are embedded in one batch."""


@dataclass(frozen=True)
class MeasuredTurns:
    """The turns that rankings are compared on.

    Attributes:
        task: Their task.
        dialogues: All dialogues.
        turns: [T] labelled turns; `dialogue` is a position in `dialogues`.
        skipped: Reason -> number of system turns left out for it.
    """

    task: TaskSpec
    dialogues: Sequence[AnnotatedDialogue]
    turns: Sequence[LabelledTurn]
    skipped: Mapping[str, int]

    @classmethod
    def label(
        cls, dialogues: Sequence[AnnotatedDialogue], task: TaskSpec, encode: Encode
    ) -> MeasuredTurns:
        """Label the turns of annotated dialogues.

        Args:
            dialogues: Annotated dialogues with strategies.
            task: Their task.
            encode: Sentence encoder of the labels' similarities.

        Raises:
            DataError: No turn has both candidates and a strategy that the task knows, or the task
                lacks a candidate's aspect.
        """
        turns = label_turns(dialogues, task, encode).turns
        annotated = [(d, turn) for d in dialogues for turn in d.turns]
        empty = sum(not turn.candidates for _, turn in annotated)
        skipped = {
            "not annotated": sum(len(d.system_turns) for d in dialogues) - len(annotated),
            "no candidates": empty,
            "no known strategy": len(annotated) - empty - len(turns),
        }
        if not turns:
            raise DataError(
                f"none of the {sum(skipped.values())} turns has candidates and a strategy that "
                f"the task {task.name!r} knows: annotate the file, or name the right task"
            )
        return cls(task, dialogues, turns, skipped)

    @property
    def groups(self) -> npt.NDArray[np.int64]:
        """[T], the dialogue of each turn."""
        return np.array([turn.dialogue for turn in self.turns], np.int64)

    def history(self, turn: LabelledTurn) -> list[Utterance]:
        """The utterances before a turn."""
        return self.dialogues[turn.dialogue].history(turn.turn.index)


@dataclass(frozen=True)
class Coordination:
    """The calibrated coordination of the ranker that is measured.

    Attributes:
        calibration: Its terms.
        strength: The strength that is measured.
        scores: The ranker's scores without it.
        expected: For each turn P(aspect | round, last three utterances).
    """

    calibration: Calibration
    strength: float
    scores: Scores
    expected: Expected


@dataclass(frozen=True)
class Evaluation:
    """Several rankings of the same turns.

    Attributes:
        measured: The turns.
        prior: The source of the most frequent aspect and of P(aspect | round).
        scores: Ranking -> its scores; COOPER's is the last.
        coordination: COOPER's calibrated coordination; None if the ranker has none.
    """

    measured: MeasuredTurns
    prior: AspectPrior
    scores: Mapping[str, Scores]
    coordination: Coordination | None = None

    @cached_property
    def figures(self) -> dict[str, Figures]:
        """Ranking -> its metrics."""
        turns = self.measured.turns
        return {name: measure(turns, values) for name, values in self.scores.items()}

    def report(self, *, samples: int = 10_000, seed: int = 0) -> dict[str, Any]:
        """Return all figures as plain values (docs/measuring.md explains them).

        Args:
            samples: Resamples of the bootstrap, over dialogues.
            seed: Seed of the bootstrap.
        """
        bootstrap = Bootstrap(self.measured.groups, samples=samples, seed=seed)
        turns = self.measured.turns
        p_values = self._p_values(bootstrap)
        return {
            "turns": len(turns),
            "rankings": {name: _series(found) for name, found in self.figures.items()},
            "p_values": p_values,
            "p_holm": _corrected(p_values),
            "task": self.measured.task.name,
            "dialogues": len(set(self.measured.groups.tolist())),
            "skipped": dict(self.measured.skipped),
            "one_candidate": sum(len(turn.labels) == 1 for turn in turns),
            "nothing_relevant": sum(not turn.hits.any() for turn in turns),
            "commonest_aspect": self.prior.majority_aspect,
            "similarity_weight": self._weight(),
            "bootstrap": {"samples": samples, "seed": seed, "over": "dialogues", "sides": 2},
            **self._rounds(),
            **self._coordination(bootstrap),
        }

    def _coordination(self, bootstrap: Bootstrap) -> dict[str, Any]:
        if (used := self.coordination) is None:
            return {}
        aspects = [*self.measured.task.aspect_names, PASSIVE]
        trade = Trade(self.measured.turns, used.scores, used.expected, aspects)
        rows = trade.rows(used.calibration, self.prior, bootstrap)
        dice = Dice(trade, self.prior).rows()
        return {"coordination": {"strength": used.strength, "trade": rows, "dice": dice}}

    def _p_values(self, bootstrap: Bootstrap) -> dict[str, dict[str, float]]:
        ours = self.figures[COOPER].columns()
        return {
            name: {
                metric: bootstrap.p(ours[metric], theirs)
                for metric, theirs in found.columns().items()
            }
            for name, found in self.figures.items()
            if name != COOPER
        }

    def _weight(self) -> dict[str, Any]:
        tuning = self.prior.tuning
        if tuning is None:
            return {"value": self.prior.weight, "tuned": False}
        measured = {fingerprint(dialogue) for dialogue in self.measured.dialogues}
        return {
            "value": self.prior.weight,
            "tuned": True,
            "tuned_for": list(tuning.metrics),
            "tuned_on_turns": tuning.turns,
            "tuned_on_dialogues": len(tuning.dialogues),
            "measured_among_them": len(measured.intersection(tuning.dialogues)),
        }

    def _rounds(self) -> dict[str, Any]:
        turns, task = self.measured.turns, self.measured.task
        aspects = [*task.aspect_names, PASSIVE]
        weights = turns_per_round(turns)
        truth = promoted_by_round(turns, aspects)
        chosen = {
            name: chosen_by_round(turns, scores, aspects) for name, scores in self.scores.items()
        }
        return {
            "distances": {name: distance(truth, rows, weights) for name, rows in chosen.items()},
            "by_round": {
                "aspects": aspects,
                "turns": weights.tolist(),
                "shares": {
                    name: rows.round(4).tolist()
                    for name, rows in {GROUND_TRUTH: truth, **chosen}.items()
                },
            },
        }


def evaluate_rankings(
    measured: MeasuredTurns,
    ranker: Ranker,
    prior: AspectPrior,
    *,
    others: Mapping[str, Ranker] | None = None,
    given: Mapping[str, Scores] | None = None,
    strength: float | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Evaluation:
    """Rank the candidates of every turn with the baselines and the rankers.

    Args:
        measured: The turns.
        ranker: COOPER's.
        prior: P(aspect | round) and the weight of the similarity beside it.
        others: Further rankers to compare with, by name (the ablation without progression).
        given: Scores from elsewhere, by name (a language model's).
        strength: Of calibrated coordination; None: as in a conversation; 0: off.
        progress: Called with the number of turns ranked and the number to rank.
    """
    turns = measured.turns
    similarity = similarity_scores(turns, measured.dialogues, ranker.embed)
    scores: dict[str, Scores] = {
        RANDOM: random_scores(turns),
        COMMONEST: constant_aspect_scores(turns, prior.majority_aspect),
        SIMILARITY: similarity,
        PRIOR: prior.scores(turns, similarity),
    }
    rankers = {**(others or {}), COOPER: ranker}
    done = 0
    for name, one in rankers.items():
        scores[name] = []
        for turn_scores in ranker_scores(one, measured):
            scores[name].append(turn_scores)
            done += 1
            progress(done, len(turns) * len(rankers))
    ours = scores.pop(COOPER)
    others_too = {**scores, **(given or {})}
    coordination = _coordination(ranker, measured, ours, strength)
    if coordination is None or not coordination.strength:
        return Evaluation(measured, prior, {**others_too, COOPER: ours}, coordination)
    calibrated = coordinated(
        turns, ours, coordination.expected, coordination.calibration, coordination.strength
    )
    both = {UNCALIBRATED: ours, COOPER: calibrated}
    return Evaluation(measured, prior, {**others_too, **both}, coordination)


def _coordination(
    ranker: Ranker, measured: MeasuredTurns, scores: Scores, strength: float | None
) -> Coordination | None:
    """Return the ranker's calibrated coordination; None without a calibration."""
    calibration: Calibration | None = getattr(ranker, "calibration", None)
    if calibration is None:
        return None
    histories = (measured.history(turn) for turn in measured.turns)
    expected = expectations(ranker, histories)
    used = calibration.used(None, strength)
    given = [np.array(finite(values.tolist())) for values in scores]
    return Coordination(calibration, used, given, expected)


def ranker_scores(ranker: Ranker, measured: MeasuredTurns) -> Iterator[npt.NDArray[np.float64]]:
    """Yield the scores [n] of each turn's candidates, computed as in a conversation.

    The states of many turns are embedded in one batch beforehand, which is much faster; the ranker
    then finds them in its encoder's cache.
    """
    for start in range(0, len(measured.turns), BATCH):
        some = measured.turns[start : start + BATCH]
        ranker.embed([text for turn in some for text in turn.turn.states.values()])
        for turn in some:
            topics = [ScoredTopic(c.aspect, c.topic) for c in turn.turn.candidates]
            states = {name: turn.turn.states.get(name, "") for name in measured.task.aspect_names}
            signals = {name: ranker.progression(name, text).signal for name, text in states.items()}
            ranked = ranker.score(measured.history(turn), topics, signals)
            yield np.asarray(ranked, np.float64)


def _corrected(p_values: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Return the p-values after Holm's correction over all rankings and metrics together."""
    tests = {(name, at): p for name, values in p_values.items() for at, p in values.items()}
    found = holm(tests)
    return {name: {at: found[name, at] for at in values} for name, values in p_values.items()}


def _series(found: Figures) -> dict[str, Any]:
    return {
        "hit": [float(value) for value in found.hit.mean(axis=0)],
        "precision": [float(value) for value in found.precision.mean(axis=0)],
        f"ndcg@{DEPTH}": float(found.ndcg.mean()),
    }
