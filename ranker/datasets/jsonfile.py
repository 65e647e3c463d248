"""JSON files of conversations: a list of objects whose `dialog` is a list of turns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from langgraph_cooper.ranker.annotated import DataError, parse_json, read_text


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
