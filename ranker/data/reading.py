"""Reading a file of dialogues in any known form (the package's docstring lists them)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from langgraph_cooper.prompts.task import TaskSpec
from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue, DataError, Dialogue, distinct
from langgraph_cooper.ranker.data.esconv import SPEAKERS, read_esconv_lines, read_esconv_list
from langgraph_cooper.ranker.data.jsonl import (
    read_json_lines,
    read_json_list,
    read_records,
    read_text,
)
from langgraph_cooper.ranker.data.p4g import read_p4g_candidates, read_p4g_csv, read_p4g_sheet
from langgraph_cooper.ranker.data.report import Loaded, LoadReport
from langgraph_cooper.ranker.data.turns import turns_of


def load_dialogues(path: str | Path, task: TaskSpec) -> list[Dialogue]:
    """Read the dialogues of a file without the report of `read_dialogues`."""
    return read_dialogues(path, task).dialogues


def read_dialogues(path: str | Path, task: TaskSpec) -> Loaded:
    """Read the distinct dialogues of a file in any known form.

    Args:
        path: The file.
        task: The report counts the strategies that this task does not know.

    Raises:
        DataError: The file cannot be read, has no known form, has a malformed line (named), or
            holds no dialogues or no system utterance.
    """
    path = Path(path)
    form = detect(path)
    report = LoadReport(path=str(path), form=form)
    found = list(READERS[form](path, report))
    if not found:
        raise DataError(f"{path} holds no dialogues")
    dialogues = distinct(found, str(path))
    report.duplicates = len(found) - len(dialogues)
    for dialogue in dialogues:
        report.count(dialogue, task)
    if not report.system_utterances:
        raise DataError(
            f"{path}: the system says nothing in any of its {len(dialogues)} dialogues: a ranker "
            "learns from system utterances, so pass a file that has some"
        )
    return Loaded(dialogues, report)


def detect(path: Path) -> str:
    """Name the form of a file (a key of `READERS`), by its ending and its first objects.

    Raises:
        DataError: The file cannot be read, is empty, or has no known form.
    """
    if (ending := path.suffix.lower()) in _FORM_BY_ENDING:
        return _FORM_BY_ENDING[ending]
    text = read_text(path).lstrip()
    if not text:
        raise DataError(f"{path} is empty")
    form = _form_of_list(path) if text.startswith("[") else _form_of_lines(path)
    if form is None:
        raise DataError(
            f"{path} has an unknown form: ESConv (JSONL or ESConv.json), P4G (csv, xlsx "
            'or annotated JSON), or JSONL with "id" and "utterances" are expected'
        )
    return form


def _form_of_list(path: Path) -> str | None:
    turns = [turn for item in read_json_list(path)[:5] for turn in turns_of(item)]
    speakers = {str(turn.get("speaker")) for turn in turns}
    if speakers & {"Persuader", "Persuadee"}:
        return "P4G with candidates"
    return "ESConv list" if speakers & set(SPEAKERS) else None


def _form_of_lines(path: Path) -> str | None:
    first: dict[str, Any] | None = None
    for line, fields in read_json_lines(path):
        first = first or fields
        if "utterances" in first and ("turns" in fields) != ("turns" in first):
            raise DataError(
                f"{path}, line {line}: some dialogues are annotated and some are not: put them "
                "into two files"
            )
    if first and "utterances" in first:
        return "annotated JSONL" if "turns" in first else "labelled JSONL"
    return "ESConv lines" if first and "dialog" in first else None


_FORM_BY_ENDING = {".xlsx": "P4G annotated sheet", ".csv": "P4G full"}

READERS: Mapping[str, Callable[[Path, LoadReport], Iterable[Dialogue]]] = {
    "ESConv lines": read_esconv_lines,
    "ESConv list": read_esconv_list,
    "P4G full": read_p4g_csv,
    "P4G annotated sheet": read_p4g_sheet,
    "P4G with candidates": read_p4g_candidates,
    "labelled JSONL": lambda path, _: read_records(path, Dialogue),
    "annotated JSONL": lambda path, _: read_records(path, AnnotatedDialogue),
}
