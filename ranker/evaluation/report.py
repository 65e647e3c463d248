"""Measuring a trained ranker against other rankings of the same turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from langgraph_cooper.prompts.task import PASSIVE, TaskSpec
from langgraph_cooper.ranker.api import Ranker, ScoredTopic
from langgraph_cooper.ranker.data.dialogue import (
    AnnotatedDialogue,
    DataError,
    Utterance,
    fingerprint,
)
from langgraph_cooper.ranker.data.labels import Encode, LabelledTurn, label_turns
from langgraph_cooper.ranker.evaluation.aspect_prior import RankingPrior
from langgraph_cooper.ranker.evaluation.baselines import (
    Scores,
    constant_aspect_scores,
    random_scores,
    similarity_scores,
)
from langgraph_cooper.ranker.evaluation.metrics import (
    DEPTH,
    Bootstrap,
    Figures,
    chosen_by_round,
    distance,
    measure,
    promoted_by_round,
    turns_per_round,
)

# The names of the rankings in a report; stable, so that reports of different days compare.
RANDOM = "random"
COMMONEST = "commonest aspect"
SIMILARITY = "similarity"
PRIOR = "prior + similarity"
EVIDENCE = "evidence alone"
WITHOUT_PROGRESSION = "without progression"
LLM = "llm"
COOPER = "cooper"
NAMES = (RANDOM, COMMONEST, SIMILARITY, PRIOR, EVIDENCE, WITHOUT_PROGRESSION, LLM, COOPER)

GROUND_TRUTH = "ground truth"

AHEAD = 64
"""Turns whose states are embedded in one batch before they are ranked."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class MeasuredTurns:
    """The turns that rankings are compared on, and what was left out.

    Attributes:
        task: Their task.
        dialogues: All dialogues.
        turns: [T] labelled turns; `dialogue` is a position in `dialogues`.
        skipped: Reason -> how many system turns are left out for it.
    """

    task: TaskSpec
    dialogues: Sequence[AnnotatedDialogue]
    turns: Sequence[LabelledTurn]
    skipped: Mapping[str, int]

    @classmethod
    def label(
        cls, dialogues: Sequence[AnnotatedDialogue], task: TaskSpec, encode: Encode
    ) -> MeasuredTurns:
        """Labels the turns of annotated dialogues.

        Args:
            dialogues: Annotated, with strategies.
            task: Their task.
            encode: Sentence encoder of the labels' similarities.

        Raises:
            DataError: No turn has both candidates and a strategy that the task knows, or a
                candidate has an aspect that the task has not.
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
        """What was said before a turn."""
        said = self.dialogues[turn.dialogue].utterances[: turn.turn.index]
        return [Utterance(utterance.speaker, utterance.text) for utterance in said]


@dataclass(frozen=True)
class Evaluation:
    """Several rankings of the same turns.

    Attributes:
        measured: The turns.
        prior: What the commonest aspect and P(aspect | round) are from.
        scores: Ranking -> its scores; COOPER's is the last.
        figures: Ranking -> its figures.
    """

    measured: MeasuredTurns
    prior: RankingPrior
    scores: Mapping[str, Scores]
    figures: Mapping[str, Figures] = field(init=False)

    def __post_init__(self) -> None:
        turns = self.measured.turns
        figures = {name: measure(turns, values) for name, values in self.scores.items()}
        object.__setattr__(self, "figures", figures)

    def report(self, *, samples: int = 10_000, seed: int = 0) -> dict[str, Any]:
        """All that there is to tell, as plain values (docs/ranker.md says what they mean).

        Args:
            samples: Resamples of the bootstrap, over dialogues.
            seed: Of the bootstrap.
        """
        bootstrap = Bootstrap(self.measured.groups, samples=samples, seed=seed)
        turns = self.measured.turns
        return {
            "turns": len(turns),
            "rankings": {name: _series(found) for name, found in self.figures.items()},
            "p_values": self._p_values(bootstrap),
            "task": self.measured.task.name,
            "dialogues": len(set(self.measured.groups.tolist())),
            "skipped": dict(self.measured.skipped),
            "one_candidate": sum(len(turn.labels) == 1 for turn in turns),
            "nothing_relevant": sum(not turn.hits.any() for turn in turns),
            "commonest_aspect": self.prior.commonest,
            "similarity_weight": self._weight(),
            "bootstrap": {"samples": samples, "seed": seed, "over": "dialogues", "sides": 2},
            **self._rounds(),
        }

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
    prior: RankingPrior,
    *,
    others: Mapping[str, Ranker] | None = None,
    given: Mapping[str, Scores] | None = None,
    progress: Progress = lambda _done, _all: None,
) -> Evaluation:
    """Ranks the candidates of every turn in all ways, the rankers' as at inference.

    Args:
        measured: The turns.
        ranker: COOPER's.
        prior: P(aspect | round) and the weight of the similarity beside it.
        others: Further rankers to compare with, by name (the ablation without progression).
        given: Rankings that were made elsewhere, by name (a language model's).
        progress: Is told how many turns of how many are ranked.
    """
    turns = measured.turns
    similarity = similarity_scores(turns, measured.dialogues, ranker.embed)
    scores: dict[str, Scores] = {
        RANDOM: random_scores(turns),
        COMMONEST: constant_aspect_scores(turns, prior.commonest),
        SIMILARITY: similarity,
        PRIOR: prior.scores(turns, similarity),
    }
    rankers = {**(others or {}), COOPER: ranker}
    ranked = {
        name: ranker_scores(
            one,
            measured,
            lambda done, number=number: progress(  # type: ignore[misc]
                number * len(turns) + done, len(turns) * len(rankers)
            ),
        )
        for number, (name, one) in enumerate(rankers.items())
    }
    ours = ranked.pop(COOPER)
    return Evaluation(measured, prior, {**scores, **ranked, **(given or {}), COOPER: ours})


def ranker_scores(
    ranker: Ranker, measured: MeasuredTurns, done: Callable[[int], None] = lambda _done: None
) -> Scores:
    """Scores of every turn's candidates, along the very path of a conversation.

    Only the states are embedded in batches beforehand, which several turns at a time is much
    quicker; the ranker then finds them in its encoder's cache.
    """
    scores: Scores = []
    for start in range(0, len(measured.turns), AHEAD):
        some = measured.turns[start : start + AHEAD]
        ranker.embed([text for turn in some for text in turn.turn.states.values()])
        for turn in some:
            topics = [ScoredTopic(c.aspect, c.topic) for c in turn.turn.candidates]
            states = {name: turn.turn.states.get(name, "") for name in measured.task.aspect_names}
            signals = {name: ranker.progression(name, text).signal for name, text in states.items()}
            ranked = ranker.score(measured.history(turn), topics, signals)
            scores.append(np.asarray(ranked, np.float64))
            done(len(scores))
    return scores


def _series(found: Figures) -> dict[str, Any]:
    return {
        "hit": [float(value) for value in found.hit.mean(axis=0)],
        "precision": [float(value) for value in found.precision.mean(axis=0)],
        f"ndcg@{DEPTH}": float(found.ndcg.mean()),
    }
