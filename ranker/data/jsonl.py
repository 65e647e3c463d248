"""Dialogues in JSONL files, and the reading and writing of text and JSON that other modules share.

The file has one dialogue a line:

    {"id": "esc-17",
     "utterances": [{"speaker": "user", "text": "...", "strategies": []},
                    {"speaker": "system", "text": "...", "strategies": ["Question"]}],
     "turns": [{"index": 1,
                "states": {"exploration": "...", "comforting": "", "action": ""},
                "candidates": [{"aspect": "exploration", "strategy": "Question", "topic": "..."}]}],
     "final_states": {"exploration": "...", "comforting": "...", "action": "..."}}

`turns[].index` is the position of a system utterance; the utterances before it are the history. A
file of labelled dialogues is the same without `turns` and `final_states`. Utterances are merged:
two in a row are never by the same speaker.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from langgraph_cooper.ranker.data.dialogue import (
    AnnotatedDialogue,
    DataError,
    Dialogue,
    Record,
    distinct,
    validated,
)

_log = logging.getLogger(__name__)


def read_annotated(path: str | Path) -> list[AnnotatedDialogue]:
    """Read annotated dialogues, each distinct one once.

    Raises:
        DataError: The file is missing, empty or without annotation, or a line of it is malformed
            (names the line).
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
    """Read a JSONL file of dialogues as `kind`.

    Raises:
        DataError: The file is missing or empty, a line of it is malformed, or different dialogues
            have the same id.
    """
    dialogues: list[Record] = []
    seen: dict[str, tuple[int, Record]] = {}
    for line, fields in read_json_lines(path):
        dialogue = validated(kind, fields, f"{path}, line {line}")
        first, earlier = seen.setdefault(dialogue.id, (line, dialogue))
        if earlier.history() != dialogue.history():
            raise DataError(
                f"{path}, line {line}: the id {dialogue.id!r} is already another dialogue's, on "
                f"line {first}; give each dialogue its own"
            )
        dialogues.append(dialogue)
    if not dialogues:
        raise DataError(f"{path} holds no dialogues: one JSON object per line is expected")
    return dialogues


def write_annotated(path: str | Path, dialogues: Iterable[Dialogue]) -> None:
    """Write dialogues as JSONL, all or nothing.

    Raises:
        DataError: The file cannot be written; an old one stays as it was.
    """
    try:
        with replacing(Path(path)) as file:
            file.writelines(dialogue_line(dialogue).encode() for dialogue in dialogues)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from None


def dialogue_line(dialogue: Dialogue) -> str:
    """The dialogue as one line of JSON, with its line break."""
    return json.dumps(dialogue.model_dump(mode="json"), ensure_ascii=False) + "\n"


def read_json_lines(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the JSON objects of a JSONL file with their line numbers from 1; skip blank lines.

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


def read_json_list(path: Path) -> list[Any]:
    """Read the conversations of a JSON list.

    Raises:
        DataError: The file cannot be read or is not a JSON list.
    """
    items = parse_json(read_text(path), str(path))
    if not isinstance(items, list):
        raise DataError(f"{path}: a list of dialogues is expected")
    return items


def parse_json(text: str, place: str) -> object:
    """Parse a JSON text.

    Raises:
        DataError: It is not JSON, or beyond Python's limits; names the place.
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
    """Read a UTF-8 file.

    Raises:
        DataError: It is missing, unreadable or in another encoding.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not in UTF-8: save it in that encoding") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of `path` at the end, all or nothing.

    Until then it has another name in the same folder, with the same ending. After an error the old
    file is as it was, and the new one is gone.

    Raises:
        OSError: The folder or the file cannot be written.
    """
    part = path.with_name(f".{os.getpid()}.part-{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def finished_lines(path: Path, beginning: bytes) -> list[tuple[int, bytes]]:
    """The lines of a JSONL file that a run appends to, numbered from 1; none if it is missing.

    A kill or a full disk may cut off the last line: it is left out. Blank lines are skipped.

    Args:
        path: The file.
        beginning: How every line of such a file begins.

    Raises:
        OSError: The file cannot be read.
        ValueError: The unfinished last line begins otherwise, so the file is another program's.
    """
    finished, _, rest = (path.read_bytes() if path.is_file() else b"").rpartition(b"\n")
    if not (rest.startswith(beginning) or beginning.startswith(rest)):
        raise ValueError("the last line is unfinished and begins otherwise")
    return [pair for pair in enumerate(finished.split(b"\n"), start=1) if pair[1].strip()]


def remove_unfinished_line(path: Path) -> None:
    """Remove a last line without a line break from a file, so that a run can append to it.

    Raises:
        OSError: The file cannot be written.
    """
    if path.is_file() and (rest := path.read_bytes().rpartition(b"\n")[2]):
        os.truncate(path, path.stat().st_size - len(rest))
