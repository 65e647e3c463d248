"""Measuring a trained ranker against rankings that learn next to nothing, on the same turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from langgraph_cooper.prompts.task import TaskSpec
from langgraph_cooper.ranker.annotated import AnnotatedDialogue, DataError, Dialogue
from langgraph_cooper.ranker.baselines import (
    Promoting,
    RoundPrior,
    Scores,
    commonest_aspect,
    constant_aspect_scores,
    random_scores,
    similarity_scores,
)
from langgraph_cooper.ranker.dialogue import Utterance
from langgraph_cooper.ranker.inference import Ranker, ScoredTopic
from langgraph_cooper.ranker.labels import LabelledTurn, label_turns
from langgraph_cooper.ranker.metrics import DEPTH, Figures, bootstrap_p, measure

COOPER = "COOPER"
METRICS = ("hit@1", "hit@3", "precision@1", "ndcg@5")
"""Those that get a p-value."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Evaluation:
    """Every ranking's figures on the same turns.

    Attributes:
        figures: Ranking -> its figures; COOPER's under `COOPER`.
        groups: [T], the dialogue of each turn.
        skipped: Turns left out, for want of a known strategy or of candidates.
    """

    figures: dict[str, Figures]
    groups: npt.NDArray[np.int64]
    skipped: int

    def report(self, *, samples: int = 10_000, seed: int = 0) -> dict[str, Any]:
        """The figures as plain values, with the p-values of COOPER against each of the others.

        Args:
            samples: Resamples of the bootstrap, over dialogues.
            seed: Of the bootstrap.
        """
        rankings = {name: _series(found) for name, found in self.figures.items()}
        ours = self.figures[COOPER]
        p_values = {
            name: {
                metric: bootstrap_p(
                    _column(ours, metric),
                    _column(other, metric),
                    groups=self.groups.tolist(),
                    samples=samples,
                    seed=seed,
                )
                for metric in METRICS
            }
            for name, other in self.figures.items()
            if name != COOPER
        }
        return {
            "turns": len(self.groups),
            "skipped": self.skipped,
            "rankings": rankings,
            "p_values": p_values,
        }


def evaluate_rankings(
    dialogues: Sequence[AnnotatedDialogue],
    task: TaskSpec,
    ranker: Ranker,
    train: Sequence[Promoting],
    *,
    weight: float,
    others: dict[str, Ranker] | None = None,
    progress: Progress = lambda _done, _all: None,
) -> Evaluation:
    """Ranks the candidates of every labelled turn in all ways, the ranker's as at inference.

    Args:
        dialogues: Annotated, with strategies.
        task: Their task.
        ranker: COOPER's.
        train: Turns of training dialogues (`promoted_turns`): P(aspect | round) and the commonest
            aspect come from them.
        weight: Of the similarity beside P(aspect | round); tune it on valid, never on test.
        others: Further rankers to compare with, by name (the ablation without progression).
        progress: Is told how many turns of how many are ranked.

    Raises:
        DataError: No turn has both candidates and a strategy that the task knows.
    """
    labelled = label_turns(dialogues, task, ranker.embed)
    turns = labelled.turns
    if not turns:
        raise DataError(
            f"none of the {labelled.skipped} turns has candidates and a strategy that the task "
            f"{task.name!r} knows: annotate the file, or name the right task"
        )
    similarity = similarity_scores(turns, dialogues, ranker.embed)
    common = commonest_aspect(train)
    scores: dict[str, Scores] = {
        "random": random_scores(turns),
        f"always {common}": constant_aspect_scores(turns, common),
        "similarity": similarity,
        "P(aspect | round) + similarity": RoundPrior(train).scores(
            turns, similarity, weight=weight
        ),
    }
    rankers = {**(others or {}), COOPER: ranker}
    for number, (name, one) in enumerate(rankers.items()):
        done = number * len(turns)
        ranked = []
        for turn in turns:
            ranked.append(ranker_scores(one, dialogues[turn.dialogue], turn))
            progress(done + len(ranked), len(turns) * len(rankers))
        scores[name] = ranked
    figures = {name: measure(turns, values) for name, values in scores.items()}
    groups = np.array([turn.dialogue for turn in turns], np.int64)
    return Evaluation(figures, groups, labelled.skipped)


class PromotedTurn(NamedTuple):
    """A system turn of a training dialogue."""

    round: int
    promoted: frozenset[str]


def promoted_turns(dialogues: Sequence[Dialogue], task: TaskSpec) -> list[PromotedTurn]:
    """The turns whose strategies the task knows; the dialogues need no annotation for it."""
    turns = []
    for dialogue in dialogues:
        for index in dialogue.system_turns:
            if promoted := task.promoted_by(dialogue.utterances[index].strategies):
                turns.append(PromotedTurn(dialogue.round_of(index), promoted))
    return turns


def ranker_scores(
    ranker: Ranker, dialogue: AnnotatedDialogue, turn: LabelledTurn
) -> npt.NDArray[np.float64]:
    """Scores [n] of a turn's candidates, along the very path of a conversation."""
    said = dialogue.utterances[: turn.turn.index]
    history = [Utterance(utterance.speaker, utterance.text) for utterance in said]
    topics = [ScoredTopic(c.aspect, c.topic) for c in turn.turn.candidates]
    states = turn.turn.states
    signals = {name: ranker.progression(name, text).signal for name, text in states.items()}
    return np.asarray(ranker.score(history, topics, signals), np.float64)


def _series(found: Figures) -> dict[str, Any]:
    return {
        "hit": [float(value) for value in found.hit.mean(axis=0)],
        "precision": [float(value) for value in found.precision.mean(axis=0)],
        f"ndcg@{DEPTH}": float(found.ndcg.mean()),
    }


def _column(found: Figures, metric: str) -> npt.NDArray[np.float64]:
    """[T] one metric's figure for each turn."""
    name, _, at = metric.partition("@")
    values = getattr(found, name)
    return np.asarray(values if values.ndim == 1 else values[:, int(at) - 1])
