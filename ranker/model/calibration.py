"""Calibrated coordination: the aspects of the first choices follow their expected shares.

A ranking that is right most often names the likeliest aspect almost always; people do not.
Calibrated re-ranking (Steck, "Calibrated Recommendations", RecSys 2018) gives up a little
precision for the right proportions. Here the aspect with the largest s(a) + c(a) comes first:

    s = softmax over the aspects of the best score of their candidates,
    c(a) = strength * (o[r, a] + quota * d(a)) in round r,
    d(a) = sum over this turn and the earlier ones of memory^age * (P(a) - chosen(a)),

with P(a) the probability that a person takes a up now, and chosen(a) 1 where an earlier turn took
a up; the present turn has chosen nothing yet. The offsets o settle the shares of each round over
many conversations, the debt d those within one. Terms are added to shares, not to scores: of all
choices with given shares per round the most precise are those of the largest P(a) + o[r, a], with
o the multipliers of the constraint. Only the aspect's best candidate moves, since top-K topics
follow the ranker best.

The module needs no torch. A checkpoint keeps its `Calibration` in `calibration.json`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from langgraph_cooper.ranker.data.jsonl import replacing
from langgraph_cooper.ranker.model.checkpoint import CheckpointError

FILE = "calibration.json"
"""Name of the file in a checkpoint's folder."""

REMEDY = "remove it, or make it again with 'cooper evaluate calibration'"


Coordination = Literal["off", "calibrated"]
Numbers = Sequence[float] | npt.NDArray[np.float64]


class Choice(NamedTuple):
    """An earlier turn: the aspect taken up first, and what was expected."""

    aspect: str
    """The aspect of the first choice; "" if it is none of the task's."""
    expected: Mapping[str, float]
    """P(aspect | round, last three utterances) before the turn, summing to 1."""


class CalibrationTuning(BaseModel):
    """How the strength was chosen.

    Attributes:
        dialogues: Number of training conversations.
        turns: Number of their turns.
        target: The weakest strength with a distance of at most this was taken.
        distances: Strength -> distance on conversations that the offsets were not fitted to.
        precisions: Strength -> precision@1 on the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dialogues: int
    turns: int
    target: float
    distances: dict[float, float]
    precisions: dict[float, float]


class Calibration(BaseModel):
    """Offsets by round and aspect, and how strongly they count.

    Attributes:
        aspects: The aspects, the passive one last.
        offsets: [R, A]; the last row stands for all later rounds.
        strength: Strength in [0, 1] where none is asked for; 0 leaves the ranker's order.
        default: Whether a conversation is calibrated that does not ask for it.
        quota: Weight of the conversation's debt beside the offsets.
        memory: What a turn counts for after each further turn.
        tuning: How the strength was chosen; None if it was given.
        added_to: What the terms are added to. Files that do not say so are of an earlier version,
            whose terms were added to scores.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    aspects: tuple[str, ...] = Field(min_length=1)
    offsets: tuple[tuple[float, ...], ...] = Field(min_length=1)
    strength: float = Field(ge=0, le=1)
    default: bool = True
    quota: float = Field(default=0.1, ge=0, allow_inf_nan=False)
    memory: float = Field(default=0.9, ge=0, le=1)
    tuning: CalibrationTuning | None = None
    added_to: Literal["shares"] = "shares"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        table = np.array([list(row) for row in self.offsets if len(row) == len(self.aspects)])
        if len(table) != len(self.offsets) or not np.isfinite(table).all():
            raise ValueError("offsets: give a finite number for each round and aspect")
        return self

    def used(self, coordination: Coordination | None, strength: float | None) -> float:
        """Return the strength that a choice of coordination comes to; 0.0 where it is off.

        Args:
            coordination: "off", "calibrated", or None for the default.
            strength: A strength that is asked for, and asks for calibration itself.
        """
        if coordination == "off":
            return 0.0
        if strength is not None:
            return strength
        return self.strength if coordination or self.default else 0.0

    def terms(
        self,
        number: int,
        expected: Mapping[str, float],
        past: Sequence[Choice],
        strength: float | None = None,
    ) -> dict[str, float]:
        """Return the term c of every aspect.

        Args:
            number: The dialogue round, from 1.
            expected: P(aspect | round, last three utterances) now, summing to 1.
            past: The earlier turns, oldest first; turns that nobody recorded are left out.
            strength: Replaces the default one.
        """
        debts = dict.fromkeys(self.aspects, 0.0)
        for turn in [*past, Choice("", expected)]:
            for aspect, debt in debts.items():
                due = turn.expected.get(aspect, 0.0) - (turn.aspect == aspect)
                debts[aspect] = self.memory * debt + due
        row = self.offsets[min(number, len(self.offsets)) - 1]
        strength = self.strength if strength is None else strength
        return {
            aspect: strength * (offset + self.quota * debts[aspect])
            for aspect, offset in zip(self.aspects, row, strict=True)
        }

    def save(self, folder: str | Path) -> None:
        """Write `calibration.json` into a checkpoint's folder."""
        with replacing(Path(folder) / FILE) as file:
            file.write(self.model_dump_json(indent=1).encode() + b"\n")


def aspect_shares(scores: Numbers, aspects: Sequence[str]) -> dict[str, float]:
    """Return the softmax, over the aspects, of the best score of their candidates.

    Args:
        scores: [n] finite scores, at least one.
        aspects: [n] the aspect of each candidate.
    """
    best: dict[str, float] = {}
    for aspect, score in zip(aspects, scores, strict=True):
        best[aspect] = max(best.get(aspect, -np.inf), float(score))
    values = np.array(list(best.values()))
    values = np.exp(values - values.max())
    return dict(zip(best, (values / values.sum()).tolist(), strict=True))


def first_choice(scores: Numbers, aspects: Sequence[str], terms: Mapping[str, float]) -> int:
    """Return the best candidate of the aspect with the largest share + term; of equals the first.

    Args:
        scores: [n] finite scores, at least one.
        aspects: [n] the aspect of each candidate.
        terms: The term of each aspect.
    """
    shares = aspect_shares(scores, aspects)
    first = max(shares, key=lambda aspect: shares[aspect] + terms[aspect])
    return max(
        (row for row, aspect in enumerate(aspects) if aspect == first),
        key=lambda row: float(scores[row]),
    )


def lifted(scores: Numbers, choice: int) -> npt.NDArray[np.float64]:
    """Return scores in which one candidate is the only best; the order of the others stays."""
    values = np.array(scores, np.float64)
    if (best := values.max()) > values[choice] or int(values.argmax()) != choice:
        values[choice] = np.nextafter(best, np.inf)
    return values


def load_calibration(folder: Path, aspects: Iterable[str]) -> Calibration | None:
    """Read the calibration beside a checkpoint; None if it has none.

    Args:
        folder: The checkpoint's folder.
        aspects: The aspects that it has to be for, the passive one last.

    Raises:
        CheckpointError: The file is damaged, of an earlier version, or made for other aspects.
    """
    file = folder / FILE
    try:
        found = Calibration.model_validate_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, ValidationError):
        raise CheckpointError(f"{file} is damaged: {REMEDY}") from None
    if "added_to" not in found.model_fields_set:
        raise CheckpointError(f"{file} is of an earlier version: {REMEDY}")
    if found.aspects != tuple(aspects):
        raise CheckpointError(
            f"{file} is for the aspects {', '.join(found.aspects)}, not for the checkpoint's: "
            f"{REMEDY}"
        )
    return found
