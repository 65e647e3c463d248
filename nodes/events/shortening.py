"""Texts that fit into an event: shortened, or in pieces, by their bytes as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator

MARK = "…"  # at the end of a text that was shortened
PIECE = 1_000  # bytes of a piece, as JSON


def size(text: str) -> int:
    """Return the bytes of a text as JSON in UTF-8."""
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8"))


def sound(text: str) -> str:
    """Return the text with a question mark for what no encoding can write."""
    return text.encode("utf-8", "replace").decode("utf-8")


def shortened(text: str, most: int) -> str:
    """Return a text of at most `most` bytes as JSON; a shortened one ends in "…"."""
    if _is_short(text, most):
        return text
    text = sound(text)
    if (now := size(text)) <= most:
        return text
    while now > most - 3:
        text = text[: min(len(text) - 1, len(text) * (most - 3) // now)]
        now = size(text)
    return text.rstrip() + MARK


def pieces(text: str, most: int = PIECE) -> Iterator[str]:
    """Cut a text into pieces of at most `most` bytes as JSON."""
    if text and _is_short(text, most):
        yield text
        return
    text = sound(text)
    while text:
        room = len(text)
        while (now := size(text[:room])) > most:
            room = max(1, min(room - 1, room * most // now))
        yield text[:room]
        text = text[room:]


def _is_short(text: str, most: int) -> bool:
    """Return quickly whether a text is short for certain: JSON takes up to 6 bytes a letter."""
    return text.isascii() and 6 * len(text) + 2 <= most
