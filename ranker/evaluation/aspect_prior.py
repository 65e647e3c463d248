"""The baseline P(aspect | round) + weight * similarity, which a trained ranker has to beat.

It is counted and tuned when a ranker is trained, and kept beside the checkpoint as `prior.json`, so
that an evaluation needs no training data. The file holds counts and figures, no text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from langgraph_cooper.prompts.task import PASSIVE, TaskSpec
from langgraph_cooper.ranker.data.dialogue import (
    LAST_ROUND,
    AnnotatedDialogue,
    DataError,
    Dialogue,
    fingerprint,
)
from langgraph_cooper.ranker.data.jsonl import replacing
from langgraph_cooper.ranker.data.labels import Encode, LabelledTurn, label_turns
from langgraph_cooper.ranker.evaluation.baselines import Scores, similarity_scores
from langgraph_cooper.ranker.evaluation.metrics import measure
from langgraph_cooper.ranker.model.checkpoint import CheckpointError, checkpoint_folder

FILE = "prior.json"
"""Name of the file in a checkpoint's folder."""

WEIGHT = 0.3
"""Untuned weight of the similarity."""

WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0)
"""Weights tried in tuning."""

METRICS = ("hit@1", "hit@3", "precision@1")
"""The weight is tuned for the mean of these, so that the baseline is strong in each: a single one
of them would favour another weight than the others."""


class PromotedTurn(NamedTuple):
    """The round of a system turn and the aspects that its utterance promotes."""

    round: int
    promoted: frozenset[str]


def promoted_turns(dialogues: Iterable[Dialogue], task: TaskSpec) -> list[PromotedTurn]:
    """Collect the turns with strategies that the task knows; they need no annotation."""
    turns = []
    for dialogue in dialogues:
        for index in dialogue.system_turns:
            if promoted := task.promoted_by(dialogue.utterances[index].strategies):
                turns.append(PromotedTurn(dialogue.round_of(index), promoted))
    return turns


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RoundCounts(_Record):
    """Counts of one round's training utterances.

    Attributes:
        turns: Number of utterances.
        promoted: Number of them that promote each aspect; one may promote several.
    """

    turns: int = Field(ge=0)
    promoted: dict[str, int]


class Tuning(_Record):
    """How the weight of the similarity was chosen.

    Attributes:
        metrics: The weight with the highest mean of these was chosen.
        turns: Number of turns measured.
        dialogues: The `fingerprint` of each of their dialogues, so that an evaluation on the same
            ones can say so.
        figures: Weight -> mean of the metrics.
    """

    metrics: tuple[str, ...]
    turns: int
    dialogues: tuple[str, ...]
    figures: dict[float, float]


class AspectPrior(_Record):
    """P(aspect | round) and the weight of the similarity beside it.

    Attributes:
        rounds: Round -> counts; the last one includes all later rounds.
        weight: Weight of the similarity.
        tuning: How the weight was tuned; None if it was not.
        smoothing: Turns of the overall distribution that are added to each round's counts.
    """

    rounds: dict[int, RoundCounts]
    weight: float = Field(default=WEIGHT, ge=0, allow_inf_nan=False)
    tuning: Tuning | None = None
    smoothing: float = Field(default=5.0, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _counted(self) -> Self:
        if not any(sum(counts.promoted.values()) for counts in self.rounds.values()):
            raise ValueError("rounds: nothing was counted")
        return self

    @classmethod
    def count(cls, train: Iterable[PromotedTurn], *, smoothing: float = 5.0) -> Self:
        """Count training turns.

        Raises:
            DataError: There are none.
        """
        totals: Counter[int] = Counter()
        promoted: dict[int, Counter[str]] = {}
        for turn in train:
            number = min(turn.round, LAST_ROUND)
            totals[number] += 1
            promoted.setdefault(number, Counter()).update(turn.promoted)
        if not totals:
            raise DataError(
                "none of the training utterances has a strategy that the task knows, so there is "
                "no P(aspect | round): check the task and the file"
            )
        rounds = {
            number: RoundCounts(
                turns=totals[number], promoted=dict(sorted(promoted[number].items()))
            )
            for number in sorted(totals)
        }
        return cls(rounds=rounds, smoothing=smoothing)

    @cached_property
    def overall(self) -> dict[str, float]:
        """The share of all training turns that promotes each aspect."""
        counts: Counter[str] = Counter()
        for found in self.rounds.values():
            counts.update(found.promoted)
        turns = sum(found.turns for found in self.rounds.values())
        return {aspect: counts[aspect] / turns for aspect in sorted(counts)}

    @property
    def majority_aspect(self) -> str:
        """The aspect that most training utterances promote."""
        return max(self.overall, key=self.overall.__getitem__)

    def probability(self, aspect: str, number: int) -> float:
        """P(aspect | round `number`), smoothed; the overall share for a round without counts."""
        share = self.overall.get(aspect, 0.0)
        found = self.rounds.get(min(number, LAST_ROUND))
        if found is None:
            return share
        counted = found.promoted.get(aspect, 0)
        return (counted + self.smoothing * share) / (found.turns + self.smoothing)

    def scores(
        self, turns: Sequence[LabelledTurn], similarity: Scores, *, weight: float | None = None
    ) -> Scores:
        """Score the candidates of each turn: P(aspect | round) + weight * similarity.

        Args:
            turns: The turns to rank.
            similarity: `similarity_scores` of the same turns.
            weight: Replaces the prior's own weight.
        """
        weight = self.weight if weight is None else weight
        return [
            np.array([self.probability(c.aspect, turn.round) for c in turn.turn.candidates])
            + weight * similar
            for turn, similar in zip(turns, similarity, strict=True)
        ]

    def tuned(
        self,
        valid: Sequence[AnnotatedDialogue],
        task: TaskSpec,
        encode: Encode,
        *,
        metrics: Sequence[str] = METRICS,
        weights: Sequence[float] = WEIGHTS,
    ) -> Self:
        """Return the prior with the weight that ranks valid best; of equals the first.

        Raises:
            DataError: No turn of valid can be labelled.
        """
        turns = label_turns(valid, task, encode).turns
        if not turns:
            raise DataError(
                "no turn of the valid dialogues has candidates and a strategy that the task "
                f"{task.name!r} knows, so the weight of the similarity cannot be tuned on them"
            )
        similarity = similarity_scores(turns, valid, encode)
        figures = {}
        for weight in weights:
            means = measure(turns, self.scores(turns, similarity, weight=weight)).means()
            figures[weight] = round(sum(means[metric] for metric in metrics) / len(metrics), 6)
        tuning = Tuning(
            metrics=tuple(metrics),
            turns=len(turns),
            dialogues=tuple(sorted(fingerprint(dialogue) for dialogue in valid)),
            figures=figures,
        )
        best = max(weights, key=figures.__getitem__)
        return self.model_copy(update={"weight": best, "tuning": tuning})

    def save(self, folder: str | Path) -> None:
        """Write `prior.json` into a checkpoint's folder."""
        with replacing(Path(folder) / FILE) as file:
            file.write(self.model_dump_json(indent=1).encode() + b"\n")


def fit_aspect_prior(
    train: Iterable[Dialogue],
    valid: Sequence[AnnotatedDialogue],
    task: TaskSpec,
    encode: Encode,
) -> AspectPrior:
    """Count the prior on training dialogues and tune its weight on valid.

    Args:
        train: All training dialogues; they need no annotation.
        valid: The annotated dialogues that the ranker's epoch is chosen on.
        task: Maps strategies to aspects.
        encode: Sentence encoder of the similarities.

    Raises:
        DataError: No turn of one of the two can be used.
    """
    return AspectPrior.count(promoted_turns(train, task)).tuned(valid, task, encode)


def load_prior(checkpoint: str | Path, task: TaskSpec) -> AspectPrior:
    """Read the prior beside a checkpoint.

    Raises:
        CheckpointError: The file is missing or malformed, or counts another task's aspects.
    """
    file = checkpoint_folder(checkpoint) / FILE
    remedy = "pass the training dialogues with --train, or add it with 'cooper evaluate prior'"
    try:
        prior = AspectPrior.model_validate_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"{file.parent} has no {FILE} with P(aspect | round) of its training data: {remedy}"
        ) from None
    except (OSError, UnicodeDecodeError, ValidationError):
        raise CheckpointError(f"{file} is damaged: {remedy}") from None
    if foreign := sorted(set(prior.overall) - {*task.aspect_names, PASSIVE}):
        raise CheckpointError(
            f"{file} counts the aspect {foreign[0]!r}, which the task {task.name!r} does not "
            f"have: {remedy}"
        )
    return prior
