"""Reads answers whose decisions readers have labelled."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from langgraph_cooper.graph.training.rows import read_rows
from langgraph_cooper.nodes.pairs.form import Pair
from langgraph_cooper.nodes.subjects.decider import LABELS
from langgraph_cooper.ranker.data.dialogue import DataError


class Decided(BaseModel):
    """What a user answered, and what they decided by it: a line of a JSONL file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    """Where it comes from, such as a data set or a writer."""
    dialogue: str
    before: str
    """What the system had said; empty if the user began."""
    said: str = Field(min_length=1)
    decision: str
    """One of `LABELS`."""

    @field_validator("decision")
    @classmethod
    def _known(cls, decision: str) -> str:
        if decision not in LABELS:
            raise ValueError(f"choose one of {', '.join(LABELS)}, not {decision!r}")
        return decision

    @property
    def pair(self) -> Pair:
        """What is read."""
        return Pair(self.before, self.said)


def read_decided(file: Path) -> list[Decided]:
    """Read a JSONL file of labelled answers.

    Raises:
        DataError: It cannot be read, is empty, or a line is malformed (names the line).
    """
    example = (
        '{"source": "...", "dialogue": "...", "before": "...", "said": "...", "decision": "none"}'
    )
    if found := list(read_rows(file, Decided, example)):
        return found
    raise DataError(f"{file} holds no labelled answers: one JSON object per line is expected")
