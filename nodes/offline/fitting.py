"""How likely a prepared answer fits a message: a logistic regression on how near its example is.

The cosine alone takes "Do you run?" for "I run from one thing to the next". So the regression also
sees whether both ask or deny, how long they are, and which of their rarer words they share.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from langgraph_cooper.nodes.language.text import words

Floats = NDArray[np.float32]

NEGATIONS = frozenset(
    [
        "not", "no", "never", "nothing", "nobody", "without", "don't", "dont", "doesn't", "didn't",
        "didnt", "can't", "cant", "won't", "isn't", "wasn't", "haven't", "hasn't", "aren't",
        "wouldn't", "couldn't", "shouldn't",
    ]
)  # fmt: skip
ASKING = frozenset(
    [
        "do", "does", "did", "is", "are", "was", "can", "could", "should", "would", "will", "how",
        "what", "why", "who", "where", "when", "which", "have", "has", "may",
    ]
)  # fmt: skip

FEATURES = (
    "cosine", "one asks", "the message alone asks", "one denies", "length of the message",
    "length of the example", "by how much the message is longer", "share of the message's words",
    "share of the example's words", "a word or two", "share of the whole message",
)  # fmt: skip
"""What the regression sees of a message, or a sentence of it, and an example."""
WEIGHTS = (4.004, -0.194, -0.747, -0.862, 0.239, -0.583, -0.397, -0.106, 1.57, 0.093, 0.779)
BIAS = -2.704
"""Fitted to what readers said of 1,511 answers to real messages (docs/answers.md)."""


class Rarity:
    """How much a shared word says: its inverse document frequency among a task's examples.

    Args:
        texts: The examples.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._count = len(texts)
        self._found = Counter(word for text in texts for word in set(words(text)))

    def shared(self, said: str, heard: str) -> tuple[float, float]:
        """Return the share of both texts' words, weighed by rarity, that the other has too."""
        ours, theirs = set(words(said)), set(words(heard))
        both = self._sum(ours & theirs)
        return both / max(self._sum(ours), 1e-6), both / max(self._sum(theirs), 1e-6)

    def _sum(self, found: set[str]) -> float:
        return sum(math.log((self._count + 1) / (self._found[word] + 1)) for word in sorted(found))


@lru_cache(maxsize=20_000)
def _shape(text: str) -> tuple[bool, bool, int]:
    """Return whether a text asks, whether it denies, and its number of words."""
    found = words(text)
    asks = "?" in text or (bool(found) and found[0] in ASKING)
    return asks, not NEGATIONS.isdisjoint(found), len(found)


def features(cosine: float, part: str, whole: str, heard: str, rarity: Rarity) -> list[float]:
    """Return what the regression sees, in the order of `FEATURES`.

    Args:
        cosine: Of the part and the example.
        part: The message, or the sentence of it that is near the example.
        whole: The message.
        heard: The example.
        rarity: Of the task's words.
    """
    asks, denies, length = _shape(part)
    asked, denied, other = _shape(heard)
    return [
        cosine,
        float(asks != asked),
        float(asks and not asked),
        float(denies != denied),
        math.log(length + 1),
        math.log(other + 1),
        max(0.0, math.log((length + 1) / (other + 1))),
        *rarity.shared(part, heard),
        float(length <= 2),
        math.log((length + 1) / (len(words(whole)) + 1)),
    ]


def chance(rows: Sequence[Sequence[float]], more: Sequence[float] | float = 0.0) -> Floats:
    """Return the probability that a reader accepts the answer.

    Args:
        rows: [N, features].
        more: [N] log-odds of what the regression does not see.

    Returns:
        [N].
    """
    logits = np.asarray(rows, np.float32) @ np.asarray(WEIGHTS, np.float32) + BIAS
    probable: Floats = 1 / (1 + np.exp(-logits - np.asarray(more, np.float32)))
    return probable
