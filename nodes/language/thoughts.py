"""Removes what a reasoning model thinks aloud before its answer, between <think> and </think>.

Some chat templates write the opening tag into the prompt: the answer then has only the closing one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

# A thought without an end is all thought: an alternative that matches the end keeps this linear.
THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
UNOPENED = re.compile(r"\A.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
UNFINISHED_TAG = re.compile(r"</?[a-z]{0,8}\Z", re.IGNORECASE)  # may yet become "<thinking>"


def strip_thoughts(text: str) -> str:
    """Return an answer without its thoughts."""
    return UNOPENED.sub("", THOUGHT.sub("", text))


def thinks_unopened(text: str) -> bool:
    """Return whether an answer has the end of a thought without its beginning."""
    return UNOPENED.match(THOUGHT.sub("", text)) is not None


class ThoughtFilter:
    """Removes the thoughts, and the blanks before the answer, from a stream of text.

    Args:
        thinking: Whether the stream is expected to begin in a thought, without an opening tag. If
            the thought never ends, all of it was the answer.

    Attributes:
        unopened: Whether a thought ended that had not been opened.
    """

    def __init__(self, thinking: bool = False) -> None:
        self.unopened = False
        self._thinking = thinking
        self._text = ""
        self._given = 0

    def feed(self, piece: str) -> str:
        """Return the part of the answer that is certain after this piece."""
        self._text += piece
        if thinks_unopened(self._text):
            self._text, self._given = strip_thoughts(self._text), 0
            self._thinking, self.unopened = False, True
        return "" if self._thinking else self._rest(UNFINISHED_TAG.sub("", self._text))

    def end(self, *, cut: bool = False) -> str:
        """Return the rest of the answer, after the last piece; no thought that was cut off."""
        if cut and self._thinking:
            self._text = ""
        self._thinking = False
        return self._rest(self._text)

    @property
    def answer(self) -> str:
        """The answer so far."""
        return strip_thoughts(self._text).lstrip()

    def _rest(self, text: str) -> str:
        answer = strip_thoughts(text).lstrip()
        rest, self._given = answer[self._given :], max(self._given, len(answer))
        return rest


def without_thoughts(pieces: Iterable[str], *, thinking: bool = False) -> Iterator[str]:
    """Yield a streamed answer without its thoughts and without leading blanks.

    Args:
        pieces: The text in pieces, cut anywhere.
        thinking: As for `ThoughtFilter`.
    """
    stream = ThoughtFilter(thinking)
    yield from filter(None, map(stream.feed, pieces))
    if rest := stream.end():
        yield rest
