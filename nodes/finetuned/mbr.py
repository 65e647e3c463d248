"""Minimum-Bayes-risk choice: the sample that is most like the other samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from langgraph_cooper.nodes.language.text import words


def most_typical(samples: Sequence[str]) -> int:
    """Return the position of the sample that is most like the others; of equals the first.

    Likeness is the F1 of words and of pairs of words: what most samples say is what the model
    believes, while a single sample may be an odd one.

    Raises:
        ValueError: There is no sample.
    """
    if not samples:
        raise ValueError("there is no sample to choose from")
    grams = [_grams(sample) for sample in samples]
    likeness = [
        sum(_f1(one, other) for place, other in enumerate(grams) if place != own)
        for own, one in enumerate(grams)
    ]
    return max(range(len(samples)), key=lambda place: (likeness[place], -place))


def _grams(text: str) -> tuple[Counter[str], Counter[str]]:
    """Return the words and the pairs of words of a text, with their numbers."""
    found = words(text)
    return Counter(found), Counter(" ".join(pair) for pair in pairwise(found))


def _f1(one: tuple[Counter[str], Counter[str]], other: tuple[Counter[str], Counter[str]]) -> float:
    """Return the mean F1 of words and of pairs."""
    total = 0.0
    for mine, theirs in zip(one, other, strict=True):
        size = mine.total() + theirs.total()
        total += 2 * (mine & theirs).total() / size if size else 0.0
    return total / 2
