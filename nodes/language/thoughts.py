"""Leaving out what a reasoning model thinks aloud before it answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def without_thoughts(pieces: Iterable[str]) -> Iterator[str]:
    """Leaves out what a reasoning model thinks aloud, between <think> and </think>, as it streams.

    Args:
        pieces: The text in pieces, cut anywhere.
    """
    waiting, thought = "", False
    for piece in pieces:
        waiting = (waiting + piece).lstrip() if thought else waiting + piece
        begun = waiting.lstrip().lower()
        if begun.startswith("<think"):
            _, end, rest = waiting.partition("</think>")
            if not end:
                continue
            waiting, thought = rest.lstrip(), True
        elif "<think".startswith(begun):
            continue
        if waiting:
            yield waiting
            thought = False  # what follows is the answer, its spaces too
        waiting = ""
    if waiting and not waiting.lstrip().lower().startswith("<think"):
        yield waiting
