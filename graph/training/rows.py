"""Reads rows of labelled data, and draws the share of them that is held out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.data.jsonl import read_json_lines

Row = TypeVar("Row", bound=BaseModel)


def one_in(every: int, dialogue: str) -> bool:
    """Return whether a conversation is among the share 1 / `every` that its name's hash draws."""
    return int(hashlib.sha256(dialogue.encode()).hexdigest()[:8], 16) % every == 0


def read_rows(file: Path, row: type[Row], example: str) -> Iterator[Row]:
    """Yield the rows of a JSONL file.

    Args:
        file: The file.
        row: Their type.
        example: What a line looks like.

    Raises:
        DataError: It cannot be read, or a line is malformed (names the line).
    """
    for number, fields in read_json_lines(file):
        try:
            yield row.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "it"
            problem = first["msg"].removeprefix("Value error, ")
            raise DataError(
                f"{file}, line {number}: {field}: {problem}; a line is {example}"
            ) from None
