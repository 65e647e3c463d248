"""Persuasion for Good (Wang et al. 2019): the full set, the annotated sheet, LLM annotations."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from langgraph_cooper.prompts.extras import install
from langgraph_cooper.prompts.task import PASSIVE
from langgraph_cooper.ranker.data.dialogue import (
    AnnotatedDialogue,
    DataError,
    Dialogue,
    validated,
)
from langgraph_cooper.ranker.data.jsonl import read_json_list, read_text
from langgraph_cooper.ranker.data.report import LoadReport
from langgraph_cooper.ranker.data.turns import Turn, merge, merged_position, turns_of

SPEAKERS = {"0": "system", "1": "user", "Persuader": "system", "Persuadee": "user"}
ASPECTS = {
    "inquiry": "attention",
    "appeal": "appeal",
    "proposition": "proposition",
    "passive_response": PASSIVE,
}
STATES = {
    "inquiry_state": "attention",
    "appeal_state": "appeal",
    "proposition_state": "proposition",
}


def read_p4g_csv(path: Path, report: LoadReport) -> Iterator[Dialogue]:
    """Read `full_dialog.csv`, which has no strategies."""
    reader = csv.DictReader(io.StringIO(read_text(path)))
    missing = {"Unit", "B4", "B2"} - set(reader.fieldnames or ())
    if missing:
        raise DataError(f"{path}, line 1: the column {sorted(missing)[0]!r} is missing")
    rows = ((reader.line_num, row) for row in reader)
    try:
        yield from _conversations(path, rows, report)
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num + 1}: not CSV ({error})") from None


def read_p4g_sheet(path: Path, report: LoadReport) -> Iterator[Dialogue]:
    """Read `300_dialog.xlsx`, which has a strategy for each sentence."""
    yield from _conversations(path, _sheet_rows(path), report)


def read_p4g_reactions(path: Path) -> dict[str, dict[str, int]]:
    """Count the persuadees' sentences by `ee_label_1` in `300_dialog.xlsx`.

    Returns:
        Conversation -> label -> sentences; empty for a sheet without that column.
    """
    found: dict[str, dict[str, int]] = {}
    for _, row in _sheet_rows(path):
        label = row.get("ee_label_1")
        if label and SPEAKERS.get(str(row["B4"])) == "user":
            counts = found.setdefault(str(row["B2"]), {})
            counts[str(label)] = counts.get(str(label), 0) + 1
    return found


def _sheet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of the first sheet with their numbers, as column name -> cell."""
    try:
        import openpyxl
    except ImportError:
        raise DataError(
            f"{path} is a spreadsheet, which openpyxl reads: {install('train')}"
        ) from None
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (OSError, zipfile.BadZipFile, KeyError, openpyxl.utils.exceptions.InvalidFileException):
        raise DataError(f"{path} cannot be read as a spreadsheet (xlsx)") from None
    try:
        rows = book.worksheets[0].iter_rows(values_only=True)
        names = [str(name) for name in next(rows, ())]
        missing = {"Unit", "B4", "B2", "er_label_1"} - set(names)
        if missing:
            raise DataError(f"{path}, line 1: the column {sorted(missing)[0]!r} is missing")
        for line, row in enumerate(rows, start=2):
            if any(cell is not None for cell in row):
                yield line, dict(zip(names, row, strict=False))
    finally:
        book.close()


def _conversations(
    path: Path, rows: Iterable[tuple[int, Mapping[str, Any]]], report: LoadReport
) -> Iterator[Dialogue]:
    """Group sentences by conversation (B2); B4 is the speaker, er_label_1 the strategy."""
    conversations: dict[str, list[Turn]] = {}
    for line, row in rows:
        speaker = SPEAKERS.get(str(row["B4"]))
        if speaker is None or not row["B2"]:
            raise DataError(
                f"{path}, line {line}: B4 must be 0 (persuader) or 1 (persuadee) and B2 name the "
                f"conversation, not {row['B4']!r} and {row['B2']!r}"
            )
        label = row.get("er_label_1") if speaker == "system" else None
        text = "" if row["Unit"] is None else str(row["Unit"]).strip()
        turn = Turn(speaker, text, (str(label),) if label else ())
        conversations.setdefault(str(row["B2"]), []).append(turn)
    for name, turns in conversations.items():
        yield merge(name, turns, report, f"{path}, conversation {name}")


def read_p4g_candidates(path: Path, report: LoadReport) -> Iterator[Dialogue]:
    """Read the JSON list whose persuader turns carry states and candidates."""
    for number, item in enumerate(read_json_list(path), start=1):
        place = f"{path}, dialogue {number}"
        turns: list[Turn] = []
        annotations: dict[int, dict[str, Any]] = {}
        for turn in turns_of(item):
            try:
                speaker = SPEAKERS[turn["speaker"]]
                # If turns of one speaker follow one another, the first annotation belongs to the
                # merged utterance.
                if turn.get("states"):
                    annotations.setdefault(
                        merged_position([t for t in turns if t.text], speaker), turn["states"]
                    )
                turns.append(Turn(speaker, turn["text"].strip(), tuple(turn.get("strategy") or ())))
            except (KeyError, TypeError, AttributeError):
                raise DataError(
                    f"{place}: turn {len(turns) + 1} needs a speaker (Persuader or Persuadee) and "
                    "a text"
                ) from None
        name = str(item["index"]) if isinstance(item, dict) and "index" in item else str(number)
        dialogue = merge(name, turns, report, place)
        yield _with_annotation(dialogue, annotations, place)


def _with_annotation(
    dialogue: Dialogue, annotations: Mapping[int, Mapping[str, Any]], place: str
) -> AnnotatedDialogue:
    """Add an LLM's states and candidates under this project's aspect names.

    The data has no states after the last utterance: those of the last annotated turn are final.
    """
    turns = []
    for index, annotation in sorted(annotations.items()):
        try:
            states = {aspect: annotation[key] for key, aspect in STATES.items()}
            candidates = [
                {
                    "aspect": ASPECTS[entry["subgoal"]],
                    "strategy": entry["strategy"],
                    "topic": entry["topic"].strip().strip('"').strip(),
                }
                for entry in annotation["topic_candidates"]
            ]
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{place}: the annotation of utterance {index} lacks {error}") from None
        turns.append({"index": index, "states": states, "candidates": candidates})
    fields = dialogue.model_dump()
    fields |= {"turns": turns, "final_states": turns[-1]["states"] if turns else {}}
    return validated(AnnotatedDialogue, fields, place)
