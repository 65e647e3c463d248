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


def without_thoughts(pieces: Iterable[str]) -> Iterator[str]:
    """Yield a streamed answer without its thoughts and without leading blanks.

    Args:
        pieces: The text in pieces, cut anywhere.
    """
    text, yielded = "", 0
    for piece in pieces:
        text += piece
        answer = UNFINISHED_TAG.sub("", strip_thoughts(text)).lstrip()
        if len(answer) > yielded:
            yield answer[yielded:]
            yielded = len(answer)
    if rest := strip_thoughts(text).lstrip()[yielded:]:
        yield rest
