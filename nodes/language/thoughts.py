"""Removes what a reasoning model thinks aloud before its answer, between <think> and </think>.

Some chat templates write the opening tag into the prompt: the answer then has only the closing one.
"""

from __future__ import annotations

import re

# A thought without an end is all thought: an alternative that matches the end keeps this linear.
THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
UNOPENED = re.compile(r"\A.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
TAG = re.compile(r"<(/?)think(?:ing)?>", re.IGNORECASE)
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
        self._inside = False  # a thought that was opened
        self._tail = ""  # may yet become a tag
        self._parts: list[str] = []  # of the answer
        self._given = 0  # of these parts

    def feed(self, piece: str) -> str:
        """Return the part of the answer that is certain after this piece."""
        text, begin = self._tail + piece, 0
        for tag in TAG.finditer(text):
            opens = not tag[1]
            if not self._inside and opens:
                self._keep(text[begin : tag.start()])
            elif not self._inside:  # all before it was a thought
                self._parts, self._given = [], 0
                self._thinking, self.unopened = False, True
            self._inside, begin = opens, tag.end()
        certain = UNFINISHED_TAG.sub("", text[begin:])
        self._tail = text[begin + len(certain) :]
        self._keep(certain)
        return self._rest()

    def end(self, *, cut: bool = False) -> str:
        """Return the rest of the answer, after the last piece; no thought that was cut off."""
        if cut and self._thinking:
            self._parts, self._tail = [], ""
        self._keep(self._tail)
        self._thinking, self._tail = False, ""
        return self._rest()

    @property
    def answer(self) -> str:
        """The answer so far."""
        return "".join([*self._parts, "" if self._inside else self._tail]).lstrip()

    def _keep(self, text: str) -> None:
        text = text if self._parts else text.lstrip()
        if text and not self._inside:
            self._parts.append(text)

    def _rest(self) -> str:
        if self._thinking:
            return ""
        rest, self._given = "".join(self._parts[self._given :]), len(self._parts)
        return rest
