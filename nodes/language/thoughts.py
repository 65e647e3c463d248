"""Removes what a reasoning model thinks aloud before its answer, between <think> and </think>."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

# A thought without an end is all thought: an alternative that matches the end keeps this linear.
THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
UNFINISHED_TAG = re.compile(r"<[a-z]{0,8}\Z", re.IGNORECASE)  # may yet become "<thinking>"


def strip_thoughts(text: str) -> str:
    """Return an answer without its thoughts."""
    return THOUGHT.sub("", text)


class ThoughtFilter:
    """Removes the thoughts and leading blanks of one text that arrives in pieces, cut anywhere."""

    def __init__(self) -> None:
        self._text, self._shown = "", 0

    def feed(self, piece: str) -> str:
        """Take one more piece and return the words that can be shown now."""
        self._text += piece
        return self._next(UNFINISHED_TAG.sub("", strip_thoughts(self._text)))

    def end(self) -> str:
        """Return the rest: the beginning of a tag that never came, or nothing."""
        return self._next(strip_thoughts(self._text))

    def _next(self, answer: str) -> str:
        new = answer.lstrip()[self._shown :]
        self._shown += len(new)
        return new


def without_thoughts(pieces: Iterable[str]) -> Iterator[str]:
    """Yield a streamed answer without its thoughts and without leading blanks.

    Args:
        pieces: The text in pieces, cut anywhere.
    """
    thoughts = ThoughtFilter()
    yield from filter(None, map(thoughts.feed, pieces))
    if rest := thoughts.end():
        yield rest
