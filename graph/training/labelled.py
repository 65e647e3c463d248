"""Reads pairs of utterances that readers have labelled."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from langgraph_cooper.graph.training.rows import read_rows
from langgraph_cooper.nodes.pairs.form import Pair
from langgraph_cooper.ranker.data.dialogue import DataError


class Labelled(BaseModel):
    """What was said to what, and its label: a line of a JSONL file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    """Where it comes from, such as a data set or a writer."""
    dialogue: str
    before: str
    """What the other side had said; empty if it was silent."""
    said: str = Field(min_length=1)
    label: str

    @field_validator("label")
    @classmethod
    def _known(cls, label: str, info: ValidationInfo) -> str:
        labels: Collection[str] = info.context or ()
        if labels and label not in labels:
            raise ValueError(f"choose one of {', '.join(labels)}, not {label!r}")
        return label

    @property
    def pair(self) -> Pair:
        """What is read."""
        return Pair(self.before, self.said)


def read_labelled(file: Path, labels: Collection[str]) -> list[Labelled]:
    """Read a JSONL file of labelled pairs.

    Args:
        file: The file.
        labels: Those that a line may have.

    Raises:
        DataError: It cannot be read, is empty, or a line is malformed (names the line).
    """
    example = '{"source": "...", "dialogue": "...", "before": "", "said": "...", "label": "none"}'
    if found := list(read_rows(file, Labelled, example, labels)):
        return found
    raise DataError(f"{file} holds nothing labelled: one JSON object per line is expected")
