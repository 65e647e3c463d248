"""The row of a rating: what somebody answered about a pair of conversations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from langgraph_cooper.graph.evaluation.interactive.redact import REDACTED
from langgraph_cooper.graph.evaluation.interactive.rows import (
    Conversation,
    digest,
    read_conversations,
)
from langgraph_cooper.graph.evaluation.judging.pairs import Pair, paired
from langgraph_cooper.graph.evaluation.kept import open_rows
from langgraph_cooper.prompts.errors import first_fault
from langgraph_cooper.ranker.data.dialogue import DataError

RATINGS = "ratings"
"""What a file of ratings says that it holds."""

OVERALL = "overall"
"""The dimension that is asked for after all others."""

Answer = Literal["left", "tie", "right"]
ANSWERS: tuple[Answer, ...] = ("left", "tie", "right")


class Rating(BaseModel):
    """A rating. It names conversations by hashes and no systems, so that the file is blind, too.

    Attributes:
        key: Of the row; the last row of a key counts.
        pair: The pair's id, as of `pair_id`.
        left: The id of the conversation that was shown on the left, as of `conversation_id`.
        right: The id of the other one.
        answers: Dimension -> which one is better. A dimension without a readable answer is left
            out.
        rater: Who rated.
        seed: Of the order.
        at: When.
        comment: What the rater added.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    pair: str
    left: str
    right: str
    answers: dict[str, Answer]
    rater: str
    seed: int
    at: AwareDatetime
    comment: str = ""

    def result(self, pair: Pair, dimension: str) -> int | None:
        """Return 1 if the pair's one conversation is better, -1 if the other, 0 for a tie.

        None stands for no answer.
        """
        answer = self.answers.get(dimension)
        if answer is None or answer == "tie":
            return None if answer is None else 0
        return 1 if getattr(self, answer) == conversation_id(pair.one) else -1


class Pairs(NamedTuple):
    """The pairs of a file of conversations.

    Attributes:
        file: The file.
        task: The name of the task.
        by_id: What can be compared, by `pair_id`.
        left_out: Number of pairs that cannot be compared.
        held: Number of the file's conversations.
    """

    file: Path
    task: str
    by_id: Mapping[str, Pair]
    left_out: int
    held: int


def conversation_id(row: Conversation) -> str:
    """Return a hash of a conversation and its words, which tells nothing of the system."""
    return digest("conversation", row.key, [[each.speaker, each.text] for each in row.said])


def pair_id(pair: Pair) -> str:
    """Return a hash of both conversations, whatever their order.

    A rating of other words is none of this pair.
    """
    return digest("pair", *sorted(ids_of(pair)))


def ids_of(pair: Pair) -> tuple[str, str]:
    """Return the ids of both conversations."""
    return conversation_id(pair.one), conversation_id(pair.other)


def rating_key(pair: str, rater: str) -> str:
    """Return the key under which a later rating takes the place of an earlier one."""
    return digest("rating", pair, rater)


def read_pairs(file: Path) -> Pairs:
    """Read the pairs of a file that `cooper evaluate interactive` wrote.

    Raises:
        DataError: It cannot be read, holds something else, or no pair.
    """
    settings, rows = read_conversations(file)
    if settings.get(REDACTED):
        raise DataError(f"{file} is redacted: it has no words to rate")
    found = paired(rows)
    left_out = sum(sum(counts.values()) for counts in found.left_out.values())
    if not found.pairs:
        raise DataError(
            f"{file} holds no pair that can be compared ({left_out:,} lack a conversation or end "
            "in a fault): hold conversations of two systems about the same roles"
        )
    by_id = {pair_id(pair): pair for pair in found.pairs}
    return Pairs(file, str(settings["task"]), by_id, left_out, len(rows))


def read_ratings(file: Path, pairs: Pairs) -> tuple[dict[str, str], list[Rating]]:
    """Read a file's ratings of known pairs.

    Returns:
        Dimension -> question, and for each pair and rater the last row.

    Raises:
        DataError: It cannot be read, holds something else or nothing, or rates other pairs.
    """
    if not file.is_file():
        raise DataError(f"{file} cannot be read: there is no such file")
    settings, rows = open_rows(file, RATINGS)
    if not settings or not rows:
        raise DataError(f"{file} holds no ratings: make some with 'cooper evaluate rate'")
    found = [*checked(rows, file, pairs).values()]
    return dict(settings["dimensions"]), found


def checked(rows: Mapping[str, Mapping[str, Any]], file: Path, pairs: Pairs) -> dict[str, Rating]:
    """Return the rows of a file as ratings of known pairs, by key.

    Raises:
        DataError: A row is malformed, or rates a pair that is unknown or whose words have changed.
    """
    found = {key: _validated(row, file) for key, row in rows.items()}
    rated = {one.pair: {one.left, one.right} for one in found.values()}
    known = {id: {*ids_of(pairs.by_id[id])} for id in rated if id in pairs.by_id}
    if strange := sum(known.get(id) != sides for id, sides in rated.items()):
        raise DataError(
            f"{file} rates other conversations than those of {pairs.file} ({strange:,} of "
            f"{len(rated):,} pairs are not in it, or say something else there): name the file "
            "that was rated"
        )
    return found


def settings_of(task: str, questions: Mapping[str, str]) -> dict[str, Any]:
    """Return what all ratings of a file have in common, as plain values.

    Args:
        task: The task's name.
        questions: Dimension -> question.
    """
    return {"task": task, "dimensions": dict(questions)}


def _validated(row: Mapping[str, Any], file: Path) -> Rating:
    try:
        return Rating.model_validate(row)
    except ValidationError as error:
        raise DataError(
            f"{file} holds a malformed rating ({first_fault(error)}): remove its line"
        ) from None
