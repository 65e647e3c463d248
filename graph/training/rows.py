"""Reads rows of labelled data, and draws the share of them that is held out."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from langgraph_cooper.prompts.errors import first_fault
from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.data.jsonl import read_json_lines

Row = TypeVar("Row", bound=BaseModel)


def check_names(names: Collection[str], known: Collection[str], option: str) -> None:
    """Refuse a name that nobody has: it is mistyped.

    Raises:
        DataError: There is no such writer.
    """
    if unknown := sorted(set(names).difference(known)):
        others = ", ".join(sorted(known))
        raise DataError(f"{option}: there is no writer {unknown[0]!r}, but {others}")


class Written(Protocol):
    """Something that a writer wrote."""

    @property
    def writer(self) -> str:
        """Its writer."""


Theirs = TypeVar("Theirs", bound=Written)


def writers_apart(
    written: Sequence[Theirs], writers: Collection[str], option: str
) -> tuple[list[Theirs], list[Theirs]]:
    """Return what others wrote than these writers, and what these wrote.

    Args:
        written: All of it.
        writers: Their names.
        option: What named them, for a message.

    Raises:
        DataError: There is no such writer.
    """
    check_names(writers, {each.writer for each in written}, option)
    others = [each for each in written if each.writer not in writers]
    return others, [each for each in written if each.writer in writers]


def one_in(every: int, dialogue: str) -> bool:
    """Return whether a conversation is among the share 1 / `every` that its name's hash draws."""
    return int(hashlib.sha256(dialogue.encode()).hexdigest()[:8], 16) % every == 0


def read_rows(file: Path, row: type[Row], example: str, context: object = None) -> Iterator[Row]:
    """Yield the rows of a JSONL file.

    Args:
        file: The file.
        row: Their type.
        example: What a line looks like.
        context: What the type's validators are told.

    Raises:
        DataError: It cannot be read, or a line is malformed (names the line).
    """
    for number, fields in read_json_lines(file):
        try:
            yield row.model_validate(fields, context=context)
        except ValidationError as error:
            raise DataError(
                f"{file}, line {number}: {first_fault(error)}; a line is {example}"
            ) from None
