"""Leaving out the thoughts of a reasoning model, between <think> and </think>."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def without_thoughts(pieces: Iterable[str]) -> Iterator[str]:
    """Yield a streamed text without its thoughts.

    Args:
        pieces: The text in pieces, cut anywhere.
    """
    thoughts = ThoughtFilter()
    yield from filter(None, map(thoughts.feed, pieces))
    if rest := thoughts.end():
        yield rest


class ThoughtFilter:
    """Leaves the thoughts out of one text that is fed to it piece by piece, cut anywhere."""

    def __init__(self) -> None:
        self._held, self._follows_thought = "", False

    def feed(self, piece: str) -> str:
        """Take one more piece and return the words that can be shown now."""
        text, self._held = self._held + piece, ""
        if self._follows_thought:
            text = text.lstrip()
        begun = text.lstrip().lower()
        if begun.startswith("<think"):
            _, end, rest = text.partition("</think>")
            if not end:
                self._held = text
                return ""
            text, self._follows_thought = rest.lstrip(), True
        elif "<think".startswith(begun):
            self._held = text
            return ""
        if text:
            self._follows_thought = False  # the answer keeps the spaces that come later
        return text

    def end(self) -> str:
        """Return the rest: the beginning of a tag that never came, or nothing."""
        text, self._held = self._held, ""
        return "" if text.lstrip().lower().startswith("<think") else text
