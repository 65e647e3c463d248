"""Find and read tasks: the shipped ones, and a user's own files."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from langgraph_cooper.prompts.errors import TaskError, UnknownTaskError
from langgraph_cooper.prompts.mistakes import Place, explain
from langgraph_cooper.prompts.task import HOME, TaskSpec

PROMPT_KINDS = ("tracker", "promoter", "generator", "earlier")


def list_tasks() -> list[str]:
    """List the names of the shipped tasks, in alphabetical order."""
    return sorted(path.parent.name for path in HOME.glob("*/task.toml"))


def load_task(task: str | Path | TaskSpec) -> TaskSpec:
    """Read and check a task.

    Args:
        task: The name of a shipped task ("esc"), the path of a TOML file, the path of a folder
            with a `task.toml` (and, optionally, `bank/*.toml`, `tracker.md`, `promoter.md`,
            `generator.md` and `earlier.md`), or a `TaskSpec`, which is returned as it is.

    Raises:
        TaskError: There is no such task, or its file is malformed; the text names the file and
            the field.
    """
    if isinstance(task, TaskSpec):
        return task
    return _shipped(str(task)) if str(task) in list_tasks() else _read(_find(task))


@cache
def _shipped(name: str) -> TaskSpec:
    """Read a shipped task: once, since a `TaskSpec` is frozen and its banks take a moment."""
    return _read(HOME / name / "task.toml")


def _read(file: Path) -> TaskSpec:
    fields = _parse(file)
    banks = _add_banks(fields, file.parent / "bank") if file.name == "task.toml" else {}
    fields["prompts"] = _prompts(file, fields.get("prompts", {}))
    try:
        return TaskSpec.model_validate(fields)
    except ValidationError as error:
        raise TaskError(explain(file, banks, fields, error)) from None


def _find(task: str | Path) -> Path:
    with suppress(OSError, RuntimeError):  # a name too long for a path, an unknown user's home
        path = Path(task).expanduser()
        for file in (path / "task.toml", path):
            if file.is_file():
                return file.resolve()
    shipped = ", ".join(list_tasks())
    if str(task).endswith(".toml"):
        raise UnknownTaskError(
            f"there is no file {str(task)!r}: give the path of a task's TOML file, or the name of "
            f"a shipped task ({shipped})"
        )
    raise UnknownTaskError(
        f"unknown task {str(task)!r}: the shipped ones are {shipped}; "
        "for your own, give the path of its TOML file or of its folder with a task.toml"
    )


def _parse(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(file))
    except (ValueError, RecursionError) as error:  # tomllib also raises Python's own errors
        raise TaskError(f"{file} is not a TOML file: {error}") from None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")  # editors on Windows add a byte order mark
    except UnicodeDecodeError as error:
        raise TaskError(f"{file} is not text in UTF-8: {error}") from None
    except OSError as error:
        raise TaskError(f"{file} cannot be read: {error.strerror}") from None


def _add_banks(fields: dict[str, Any], bank: Path) -> dict[Place, Path]:
    """Add the topic banks that have files of their own to the task's fields.

    Returns:
        The file of each place in the fields that was added.
    """
    _refuse_idle(fields, bank)
    sources: dict[Place, Path] = {}
    aspects = fields.get("aspects")
    files = {file.stem: file for file in bank.glob("*.toml")}
    for index, aspect in enumerate(aspects if isinstance(aspects, list) else ()):
        file = files.get(str(aspect.get("name"))) if isinstance(aspect, dict) else None
        if file and "topics" not in aspect:
            aspect["topics"] = _bank(file, "topics")
            sources["aspects", index, "topics"] = file
    for name, key in (("passive", "kinds"), ("subjects", "subjects")):
        if name in files and name not in fields:
            fields[name] = _bank(files[name], key)
            sources[name,] = files[name]
    if "answers" not in fields:
        _add_answers(fields, bank, sources)
    return sources


def _refuse_idle(fields: dict[str, Any], bank: Path) -> None:
    """Refuse a bank that nothing takes: its name is misspelt, or the task has those entries."""
    aspects = fields.get("aspects")
    if not isinstance(aspects, list) or not all(isinstance(aspect, dict) for aspect in aspects):
        return  # pydantic reports it
    filled = {str(aspect.get("name")): "topics" in aspect for aspect in aspects}
    filled |= {name: name in fields for name in ("passive", "subjects", "answers")}
    folders = {file.parent for file in bank.glob("*/*.toml")}
    for path in sorted([*bank.glob("*.toml"), *folders]):
        if path.name.startswith("."):
            continue  # an editor's own file
        takes = path.stem in filled if path.suffix else path.name == "answers"
        if not takes:
            near = get_close_matches(path.stem, filled, n=1)
            meant = f"did you mean {near[0]!r}?" if near else f"name one of {', '.join(filled)}"
            raise TaskError(f"{path}: no aspect or list takes this bank; {meant}")
        if filled[path.stem]:
            raise TaskError(f"{path}: task.toml has entries of its own for it; keep one of them")


def _add_answers(fields: dict[str, Any], bank: Path, sources: dict[Place, Path]) -> None:
    """Add `bank/answers.toml` and all files of `bank/answers/` to the fields, one after another."""
    found: list[Any] = []
    for file in [bank / "answers.toml", *sorted((bank / "answers").glob("*.toml"))]:
        if not file.is_file():
            continue
        here = _bank(file, "answers")
        if not isinstance(here, list):
            raise TaskError(f"{file}: answers: write [[answers]], one for each")
        sources |= {("answers", len(found) + place): file for place in range(len(here))}
        found += here
    if found:
        fields["answers"] = found


def _bank(file: Path, key: str) -> object:
    """Read the one list of a bank's file. A misspelt heading must not leave the bank empty."""
    fields = _parse(file)
    if unknown := sorted(fields.keys() - {key}):
        raise TaskError(f"{file}: {unknown[0]}: unknown field; write [[{key}]]")
    return fields.get(key, [])


def _prompts(file: Path, own: object) -> object:
    """Collect the task's own prompts, from its file or from its folder."""
    if not isinstance(own, dict):
        return own  # pydantic reports it
    texts = dict(own)
    for kind in PROMPT_KINDS if file.name == "task.toml" else ():
        beside = file.parent / f"{kind}.md"
        if kind not in texts and beside.is_file():
            texts[kind] = _text(beside)
    return texts
