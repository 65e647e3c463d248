"""The base class of the package's errors, and those of task files."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class CooperError(RuntimeError):
    """A mistake or fault that a person can correct: its text names the thing and the remedy.

    A `RuntimeError`, because LangGraph's server (Studio) reports only the text of built-in
    exceptions to clients and calls every other one "An internal error occurred".
    """


def a_kind(thing: object) -> str:
    """Return the class of a thing for an error, with its article: "an int"."""
    name = type(thing).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def first_fault(error: ValidationError) -> str:
    """Return the first fault of malformed data: its field, if it has one, and what is wrong."""
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    told = first["msg"].removeprefix("Value error, ")
    return f"{where}: {told}" if where else told


class TaskError(CooperError):
    """The task is unknown, or its file is malformed; the text names the file and the field."""


class UnknownTaskError(TaskError):
    """No task has this name, and there is no file at this path."""
