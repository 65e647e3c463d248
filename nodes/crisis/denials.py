"""Finds plain denials in normalised text, and denials that are taken back.

A denial is believed, so that it has to be plain: nothing limits it ("not today"), leads up to
another thing ("I try to not ...") or takes it back ("but").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from langgraph_cooper.nodes.crisis.lexicon import Denials
from langgraph_cooper.nodes.crisis.normalisation import collapsed
from langgraph_cooper.nodes.crisis.patterns import Matcher, words_after

LOOK_AHEAD = 12  # words after a denial that may take it back
LOOK_BACK = 5  # words before it that may make it another thing
SOFTENED = "though"
CLAUSES = frozenset(("and", "so", "but", "because", "though", "although"))  # begin a new clause


class PlainDenials:
    """The denials of one data file, ready to be matched.

    Args:
        data: The denials.
        words: Words of the phrases, which the patterns may use, too.
    """

    def __init__(self, data: Denials, words: Mapping[str, Sequence[str]]) -> None:
        known, plain = {**words, **data.words}, data.plain
        self._plain = Matcher(plain.patterns, known)
        self._unless = frozenset(collapsed(word) for word in plain.unless)
        self._limits = Matcher(plain.limits, known)
        self._led = Matcher(plain.led, known)
        self._withdrawn = Matcher(plain.withdrawn, known)

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the spans of the plain denials in a normalised text."""
        for start, stop in self._plain.spans(text):
            after = words_after(text, stop, LOOK_AHEAD)
            if after == [SOFTENED]:  # "I don't want to die though"
                after = []
            if self._unless.intersection(after) or self._limits.begins(text, stop):
                continue
            if not any(self._led.spans(_before(text, start))):
                yield start, stop

    def withdrawn(self, text: str) -> bool:
        """Return whether a normalised text takes a denial back."""
        return any(self._withdrawn.spans(text))


def _before(text: str, stop: int) -> str:
    """Return the last words of a text up to a word, from the beginning of their clause."""
    start = stop
    for _ in range(LOOK_BACK + 1):  # the first blank stands behind the last word
        start = max(text.rfind(" ", 0, start), 0)
    words = text[start:stop].split()
    for place in range(len(words) - 1, -1, -1):
        if words[place] in CLAUSES:
            words = words[place + 1 :]
            break
    return "".join(f"{word} " for word in words)
