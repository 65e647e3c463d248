"""What the files in a folder were made from, so that no run goes on with another one's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.ranker.data.dialogue import DataError, Dialogue
from langgraph_cooper.ranker.data.jsonl import replacing

MADE_OF = "made-of.json"


def digest_of(dialogues: Sequence[Dialogue]) -> str:
    """Return a hash of conversations with their labels and annotation."""
    hashed = hashlib.sha256()
    for dialogue in dialogues:
        hashed.update(dialogue.model_dump_json().encode())
    return hashed.hexdigest()


def digest_of_task(task: TaskSpec) -> str:
    """Return a hash of a task's whole contents."""
    return hashlib.sha256(task.model_dump_json().encode()).hexdigest()


def check_folder(folder: Path, made_of: Mapping[str, Any]) -> None:
    """Check that a folder is new or was made from the same; note what it is made from.

    Args:
        folder: The folder; made if missing.
        made_of: What everything in it is made from. Later runs may have further keys.

    Raises:
        DataError: It holds something else, or was made from something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / MADE_OF
    known: dict[str, Any] = {}
    if file.exists():
        try:
            known = dict(json.loads(file.read_text(encoding="utf-8")))
        except ValueError:
            raise DataError(f"{file} is damaged: choose another --output") from None
        other = [key for key, value in made_of.items() if known.get(key, value) != value]
        if other:
            raise DataError(
                f"{folder} was made with another {other[0]}: choose another --output, or remove it"
            )
    elif any(folder.iterdir()):
        raise DataError(f"{folder} holds something else: choose another --output")
    with replacing(file) as out:
        out.write(json.dumps({**known, **made_of}, indent=2).encode() + b"\n")
