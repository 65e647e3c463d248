"""Says in plain words what is wrong in a task's file: TOML's words, not Python's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from langgraph_cooper.prompts.task import FORMS, TaskSpec

Place = tuple[str | int, ...]
"""A position in a task's fields, in pydantic's form (`loc`)."""

NUMBER, SWITCH = "write a number, without quotation marks", "write true or false"
WHOLE = "write a whole number, without quotation marks"
PLAIN = {
    "bool_parsing": SWITCH,
    "bool_type": SWITCH,
    "finite_number": NUMBER,
    "float_type": NUMBER,
    "greater_than_equal": "write {ge} or more",
    "int_type": WHOLE,
    "less_than_equal": "write {le} or less",
    "literal_error": "write {expected}",
    "string_too_long": "write at most {max_length} characters",
    "string_too_short": "the text is empty; write at least one character",
    "string_type": "write a text in quotation marks",
    "too_long": "the array has {actual_length} entries; write at most {max_length}",
    "too_short": "the array has {actual_length} entries; write at least {min_length}",
    "tuple_type": "write an array in square brackets, even for a single entry",
}
"""Sentences for pydantic's kinds of fault, with places for their context."""

BANK_KEYS = {"passive": "kinds"}  # the list of a bank's file, where its name is another
LONGEST = 80  # characters of a field's name that are compared


def explain(
    file: Path, banks: Mapping[Place, Path], fields: Mapping[str, Any], error: ValidationError
) -> str:
    """Name the file and the first mistake in one line, an aspect by its own name.

    Args:
        file: The task's file.
        banks: The files of the places in the fields that have files of their own.
        fields: The task's fields.
        error: What pydantic found in them.
    """
    faults = _own(error.errors(include_url=False))
    # A misspelt field comes first: it may be why another is missing.
    first = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
    place, told = first["loc"], [first]
    if first["type"] == "missing":
        place = place[:-1]
        told = [f for f in faults if f["type"] == "missing" and f["loc"][:-1] == place]
    bank = next((at for at in banks if place[: len(at)] == at), ())
    file = banks.get(bank, file)
    where = ".".join(_names(place, fields))
    others = len(faults) - len(told)
    more = f" (and {others} more)" if others else ""
    return f"{file}: {where + ': ' if where else ''}{_sentence(told, bank)}{more}"


def _own(faults: Sequence[Any]) -> list[Any]:
    """Leave out that an array is too short because its entries have mistakes of their own."""
    places = [fault["loc"] for fault in faults]

    def follows(fault: Any) -> bool:
        depth = len(fault["loc"])
        inside = any(len(at) > depth and at[:depth] == fault["loc"] for at in places)
        return inside and fault["type"] == "too_short"

    return [fault for fault in faults if not follows(fault)]


def _names(place: Place, fields: object) -> list[str]:
    """Return the steps of a place, those into arrays by the name of the entry if it has one."""
    names, value = [], fields
    for step in place:
        try:
            value = value[step]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            value = {}
        name = value.get("name") if isinstance(value, dict) else None
        names.append(str(name) if isinstance(step, int) and name else str(step))
    return names


def _sentence(told: Sequence[Any], bank: Place) -> str:
    first = told[0]
    kind, place, context = first["type"], first["loc"], first.get("ctx", {})
    if kind == "missing":
        return _missing([fault["loc"][-1] for fault in told])
    if kind == "extra_forbidden":
        return _unknown(str(place[-1]), _part_at(place[:-1]))
    if kind == "model_type":
        return f"write a table with the fields {_list(_part_at(place))}"
    if kind == "tuple_type" and _part_at(place) is not _part_at(place[:-1]):
        return f"write [[{_heading(place, bank)}]] before each entry"
    if kind == "string_pattern_mismatch" and context["pattern"] in FORMS:
        return FORMS[context["pattern"]]
    if kind in PLAIN:
        return PLAIN[kind].format(**context)
    return str(first["msg"]).removeprefix("Value error, ")


def _heading(place: Place, bank: Place) -> str:
    """Return the heading of a table in TOML: its path from the top of the file, dotted.

    Args:
        place: The table's place in the task's fields.
        bank: The beginning of the place that leads to a file of its own; empty if none does.
    """
    names = [step for step in place if isinstance(step, str)]
    if bank:
        names = names[sum(isinstance(step, str) for step in bank) - 1 :]
        names[0] = BANK_KEYS.get(names[0], names[0])
    return ".".join(names)


def _missing(names: Sequence[str | int]) -> str:
    if isinstance(names[0], int):  # an array of a fixed length
        return "the array is too short; write one more entry"
    fields = ", ".join(str(name) for name in names)
    return f"the required field{'s' * (len(names) > 1)} {fields} must be given"


def _unknown(name: str, part: type[BaseModel]) -> str:
    near = get_close_matches(name[:LONGEST], part.model_fields, n=1)
    meant = f" did you mean {near[0]!r}?" if near else ""
    return f"unknown field;{meant} the fields here are {_list(part)}"


def _list(part: type[BaseModel]) -> str:
    return ", ".join(part.model_fields)


def _part_at(place: Place) -> type[BaseModel]:
    """Return the part of a task that a place leads to, or the one that it lies in."""
    part: type[BaseModel] = TaskSpec
    for step in place:
        if isinstance(step, str) and step in part.model_fields:
            part = _part_in(part.model_fields[step].annotation) or part
    return part


def _part_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_part_in, get_args(annotation))), None)
