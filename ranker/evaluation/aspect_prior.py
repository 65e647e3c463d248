"""P(aspect | round) + similarity: the ranking that a trained ranker has to beat.

It is counted and tuned when a ranker is trained, and kept beside the checkpoint as `prior.json`, so
that an evaluation needs no training data. The file holds counts and figures, no text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, Self

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
from langgraph_cooper.ranker.data.labels import Encode, LabelledTurn, label_turns
from langgraph_cooper.ranker.evaluation.baselines import Scores, similarity_scores
from langgraph_cooper.ranker.evaluation.metrics import measure
from langgraph_cooper.ranker.model.checkpoint import CheckpointError, checkpoint_folder

FILE = "prior.json"
"""Its name in a checkpoint's folder."""

WEIGHT = 0.3
"""The similarity's, where none was tuned."""

WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0)
"""Those that are tried on valid."""

METRICS = ("hit@1", "hit@3", "precision@1")
"""The weight is tuned for their mean: one of them alone is best with another weight than the rest,
and the baseline shall be strong in all."""


class Promoting(Protocol):
    """A turn of which only the round and what the real utterance promotes matter."""

    @property
    def round(self) -> int:
        """Dialogue round, from 1."""
        ...

    @property
    def promoted(self) -> frozenset[str]:
        """The aspects that the real utterance promotes."""
        ...


class PromotedTurn(NamedTuple):
    """A system turn of a training dialogue."""

    round: int
    promoted: frozenset[str]


def promoted_turns(dialogues: Iterable[Dialogue], task: TaskSpec) -> list[PromotedTurn]:
    """The turns whose strategies the task knows; the dialogues need no annotation for it."""
    turns = []
    for dialogue in dialogues:
        for index in dialogue.system_turns:
            if promoted := task.promoted_by(dialogue.utterances[index].strategies):
                turns.append(PromotedTurn(dialogue.round_of(index), promoted))
    return turns


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RoundCounts(_Record):
    """What the training utterances of one round promote.

    Attributes:
        turns: How many there are.
        promoted: How many of them promote each aspect; one may promote several.
    """

    turns: int = Field(ge=0)
    promoted: dict[str, int]


class Tuning(_Record):
    """How a weight was chosen.

    Attributes:
        metrics: Whose mean was to be high.
        turns: How many turns it was measured on.
        dialogues: The `fingerprint` of each of their dialogues, so that an evaluation on some of
            the same ones can say so.
        figures: Weight -> that mean.
    """

    metrics: tuple[str, ...]
    turns: int
    dialogues: tuple[str, ...]
    figures: dict[float, float]


class RankingPrior(_Record):
    """P(aspect | round) with the weight of the similarity beside it.

    Attributes:
        rounds: Round -> counts; the last one stands for all that follow.
        weight: Of the similarity.
        tuning: Where the weight is from; None: nobody tuned it.
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
    def count(cls, train: Iterable[Promoting], *, smoothing: float = 5.0) -> Self:
        """Counts training turns.

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

    @property
    def overall(self) -> dict[str, float]:
        """The share of all training turns that promotes each aspect."""
        counts: Counter[str] = Counter()
        for found in self.rounds.values():
            counts.update(found.promoted)
        turns = sum(found.turns for found in self.rounds.values())
        return {aspect: counts[aspect] / turns for aspect in sorted(counts)}

    @property
    def commonest(self) -> str:
        """The aspect that training utterances promote most often."""
        shares = self.overall
        return max(shares, key=lambda aspect: shares[aspect])

    def probability(self, aspect: str, number: int) -> float:
        """P(aspect | round `number`), smoothed; of a round never seen, the overall share."""
        share = self.overall.get(aspect, 0.0)
        found = self.rounds.get(min(number, LAST_ROUND))
        if found is None:
            return share
        counted = found.promoted.get(aspect, 0)
        return (counted + self.smoothing * share) / (found.turns + self.smoothing)

    def scores(
        self, turns: Sequence[LabelledTurn], similarity: Scores, *, weight: float | None = None
    ) -> Scores:
        """P(aspect | round) + weight * similarity, for the candidates of each turn.

        Args:
            turns: What to rank.
            similarity: `similarity_scores` of the same turns.
            weight: Instead of the prior's own.
        """
        heavy = self.weight if weight is None else weight
        known: dict[tuple[str, int], float] = {}
        scores = []
        for turn, similar in zip(turns, similarity, strict=True):
            pairs = [(c.aspect, min(turn.round, LAST_ROUND)) for c in turn.turn.candidates]
            known |= {pair: self.probability(*pair) for pair in pairs if pair not in known}
            scores.append(np.array([known[pair] for pair in pairs]) + heavy * similar)
        return scores

    def tuned(
        self,
        valid: Sequence[AnnotatedDialogue],
        task: TaskSpec,
        encode: Encode,
        *,
        metrics: Sequence[str] = METRICS,
        weights: Sequence[float] = WEIGHTS,
    ) -> Self:
        """The same prior with the weight that ranks valid best; of equals the first.

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
        best = max(weights, key=lambda weight: figures[weight])
        return self.model_copy(update={"weight": best, "tuning": tuning})

    def save(self, folder: str | Path) -> None:
        """Writes it as `prior.json` into a checkpoint's folder."""
        text = self.model_dump_json(indent=1)
        (Path(folder) / FILE).write_text(text + "\n", encoding="utf-8")


def ranking_prior(
    train: Iterable[Dialogue],
    valid: Sequence[AnnotatedDialogue],
    task: TaskSpec,
    encode: Encode,
) -> RankingPrior:
    """The prior of training dialogues, its weight tuned on valid.

    Args:
        train: All training dialogues; they need no annotation.
        valid: The annotated dialogues that the ranker's epoch is chosen on.
        task: Says which aspects a strategy promotes.
        encode: Sentence encoder of the similarities.

    Raises:
        DataError: No turn of one of the two can be used.
    """
    return RankingPrior.count(promoted_turns(train, task)).tuned(valid, task, encode)


def load_prior(checkpoint: str | Path, task: TaskSpec) -> RankingPrior:
    """Reads the prior beside a checkpoint.

    Raises:
        CheckpointError: There is none, it is malformed, or it counts another task's aspects.
    """
    file = checkpoint_folder(checkpoint) / FILE
    remedy = "pass the training dialogues with --train, or add it with 'cooper evaluate prior'"
    try:
        prior = RankingPrior.model_validate_json(file.read_text(encoding="utf-8"))
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
