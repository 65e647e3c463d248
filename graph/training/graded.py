"""Reads replies that readers have graded, from which the weighing of prepared answers is learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from langgraph_cooper.graph.training.rows import read_rows
from langgraph_cooper.nodes.pairs.form import Pair
from langgraph_cooper.ranker.data.dialogue import DataError


class Graded(BaseModel):
    """Replies to one message, a line of a JSONL file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    source: str
    """Where the message comes from, such as a data set or a writer."""
    dialogue: str
    said: str = Field(min_length=1)
    """The message."""
    replies: tuple[str, ...] = Field(min_length=1)
    grades: str = Field(pattern="^[012]+$")
    """A digit for each reply: 0 not acceptable, 1 acceptable, 2 good."""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if len(self.grades) != len(self.replies):
            raise ValueError(f"{len(self.replies)} replies have {len(self.grades)} grades")
        return self

    @property
    def pairs(self) -> list[Pair]:
        """What is read of each reply."""
        return [Pair(self.said, reply) for reply in self.replies]


def read_graded(file: Path) -> list[Graded]:
    """Read a JSONL file of graded replies.

    Raises:
        DataError: It cannot be read, is empty, or a line is malformed (names the line).
    """
    example = (
        '{"task": "esc", "source": "...", "dialogue": "...", '
        '"said": "...", "replies": ["..."], "grades": "0"}'
    )
    found = list(read_rows(file, Graded, example))
    if not found:
        raise DataError(f"{file} holds no graded replies: one JSON object per line is expected")
    return found
