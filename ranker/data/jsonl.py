"""Dialogues, and dialogues annotated with what the agents saw and proposed at every system turn.

The file form is JSONL, one dialogue a line:

    {"id": "esc-17",
     "utterances": [{"speaker": "user", "text": "...", "strategies": []},
                    {"speaker": "system", "text": "...", "strategies": ["Question"]}],
     "turns": [{"index": 1,
                "states": {"exploration": "...", "comforting": "", "action": ""},
                "candidates": [{"aspect": "exploration", "strategy": "Question", "topic": "..."}]}],
     "final_states": {"exploration": "...", "comforting": "...", "action": "..."}}

`turns[].index` is the position of the utterance that the real system said at that turn; the
utterances before it are the history. A file of labelled dialogues is the same without `turns` and
`final_states`. Utterances are merged: two in a row are never by the same speaker.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from langgraph_cooper.ranker.data.dialogue import (
    AnnotatedDialogue,
    DataError,
    Dialogue,
    Record,
    distinct,
    spoken,
)

_log = logging.getLogger(__name__)


def read_annotated(path: str | Path) -> list[AnnotatedDialogue]:
    """Reads annotated dialogues; of those that stand there twice, the first.

    Raises:
        DataError: The file is missing, empty, or a line of it is malformed (names the line).
    """
    found = read_records(path, AnnotatedDialogue)
    dialogues = distinct(found, str(path))
    if len(dialogues) < len(found):
        _log.warning("%s: %d duplicated dialogues left out", path, len(found) - len(dialogues))
    if not any(dialogue.turns for dialogue in dialogues):
        raise DataError(
            f"{path} has no annotated turns: annotate the dialogues first, then pass that file"
        )
    return dialogues


def read_records(path: str | Path, kind: type[Record]) -> list[Record]:
    """Reads a JSONL file of dialogues as `kind`; two of one id say the same."""
    dialogues: list[Record] = []
    seen: dict[str, tuple[int, Record]] = {}
    for line, fields in read_json_lines(path):
        dialogue = check(kind, fields, f"{path}, line {line}")
        first, earlier = seen.setdefault(dialogue.id, (line, dialogue))
        if spoken(earlier) != spoken(dialogue):
            raise DataError(
                f"{path}, line {line}: the id {dialogue.id!r} is already another dialogue's, on "
                f"line {first}; give each dialogue its own"
            )
        dialogues.append(dialogue)
    if not dialogues:
        raise DataError(f"{path} holds no dialogues: one JSON object per line is expected")
    return dialogues


def write_annotated(path: str | Path, dialogues: Iterable[Dialogue]) -> None:
    """Writes dialogues as JSONL, all or nothing: a full disk leaves the old file as it was."""
    target = Path(path)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as file:
            file.writelines(annotated_line(dialogue) for dialogue in dialogues)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def annotated_line(dialogue: Dialogue) -> str:
    """The dialogue as one line of JSON, with its line break; for appending as they are made."""
    return json.dumps(dialogue.model_dump(mode="json"), ensure_ascii=False) + "\n"


def read_json_lines(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a JSONL file, each with its line number from 1; blank lines are passed.

    Raises:
        DataError: The file cannot be read, or a line is not a JSON object.
    """
    for line, text in enumerate(read_text(path).split("\n"), start=1):
        if not text.strip():
            continue
        fields = parse_json(text, f"{path}, line {line}")
        if not isinstance(fields, dict):
            raise DataError(f"{path}, line {line}: a JSON object is expected there")
        yield line, fields


def parse_json(text: str, place: str) -> object:
    """What a JSON text says.

    Raises:
        DataError: It is not JSON, or beyond what Python reads; names the place.
    """
    try:
        parsed: object = json.loads(text)
    except json.JSONDecodeError as error:
        line = f", line {error.lineno}" if error.lineno > 1 else ""
        raise DataError(f"{place}{line}: not JSON ({error.msg})") from None
    except RecursionError:
        raise DataError(f"{place}: not a dialogue, nested too deep") from None
    except ValueError:  # Python reads no integer of thousands of digits
        raise DataError(f"{place}: a number there is too long to be read") from None
    return parsed


def read_text(path: str | Path) -> str:
    """The text of a UTF-8 file.

    Raises:
        DataError: It is missing, unreadable or in another encoding.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text in UTF-8: save it so") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def check(kind: type[Record], fields: dict[str, Any], place: str) -> Record:
    """Validates one dialogue.

    Raises:
        DataError: Names the place and the first wrong field.
    """
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise DataError(f"{place}: {where + ': ' if where else ''}{message}") from None


def turns_of(item: object) -> list[dict[str, Any]]:
    """The turns of one conversation of a JSON file, or nothing where it has another shape."""
    turns = item.get("dialog") if isinstance(item, dict) else None
    return [turn for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []


def json_list(path: Path) -> list[Any]:
    """The conversations of a JSON list.

    Raises:
        DataError: The file cannot be read or is no JSON.
    """
    items = parse_json(read_text(path), str(path))
    if not isinstance(items, list):
        raise DataError(f"{path}: a list of dialogues is expected")
    return items
