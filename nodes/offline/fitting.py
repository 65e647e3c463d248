"""How likely a prepared answer fits a message: a logistic regression on how near its examples are.

The cosine alone takes "Do you run?" for "I run from one thing to the next". So the regression also
sees whether both ask or deny, how long they are, which of their rarer words they share, and whether
other examples of the answer are near, or those of other answers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from langgraph_cooper.nodes.language.remembering import remembered
from langgraph_cooper.nodes.language.text import words
from langgraph_cooper.nodes.pairs.form import Floats

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
    "cosine of the answer's second example", "the answer's share of the nearest examples",
    "by how much it is nearer than other answers",
)  # fmt: skip
"""What the regression sees of a message, or a sentence of it, and an example."""
WEIGHTS = (
    2.28, -0.454, -0.563, -0.456, 0.329, -0.39, -0.704, 0.166, 2.329, 0.02, 0.71, 2.591, 1.764,
    1.955,
)  # fmt: skip
BIAS = -4.019
"""Fitted to what readers said of 2,100 answers to messages (docs/answers-measured.md)."""


MOST_LEAD = 0.1
"""Where a task has few answers, all others are far away, which says nothing."""
ALONE = 0.8
"""The second example's cosine, as a part of the nearest one's, of an answer that has one alone."""


class Stacking(BaseModel):
    """The log-odds that a reader accepts an answer, from two models' log-odds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bias: float
    chance: float
    """Weight of the regression's log-odds."""
    acceptable: float
    """Weight of the cross-encoder's, that the answer is acceptable."""
    good: float
    """... and that it is good."""

    def probable(self, chances: Sequence[float], read: Floats) -> Floats:
        """Return [N] probabilities.

        Args:
            chances: [N] probabilities by the regression.
            read: [N, 2] log-odds by the cross-encoder.
        """
        weights = np.asarray([self.chance, self.acceptable, self.good], np.float32)
        terms = np.column_stack([log_odds(chances), read])
        found: Floats = 1 / (1 + np.exp(-self.bias - terms @ weights))
        return found


def log_odds(chances: Sequence[float] | Floats) -> Floats:
    """Return [N] log-odds of [N] probabilities, which may be 0 or 1."""
    clipped = np.clip(np.asarray(chances, np.float32), 1e-4, 1 - 1e-4)
    found: Floats = np.log(clipped / (1 - clipped))
    return found


class Neighbours(NamedTuple):
    """What lies around the nearest example of an answer."""

    second: float
    """Cosine of the answer's second nearest example."""
    share: float
    """The answer's share of the nearest examples."""
    lead: float
    """By how much its nearest example is nearer than that of any other answer, at most 0.1."""


def neighbours(near: Floats, of: NDArray[np.int64], answer: int, nearest: int) -> Neighbours:
    """Return what lies around an answer's nearest example.

    Args:
        near: [H] cosines of the message and all examples.
        of: [H] the answer of each example.
        answer: The answer; it has an example.
        nearest: Number of nearest examples that its share is of.
    """
    own, others = np.sort(near[of == answer])[::-1], near[of != answer]
    first = float(own[0])
    second = float(own[1]) if len(own) > 1 else ALONE * first
    among = of[np.argsort(-near, kind="stable")[:nearest]]
    lead = first - float(others.max()) if len(others) else 0.0
    return Neighbours(second, float((among == answer).sum()) / nearest, min(lead, MOST_LEAD))


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


@remembered(20_000)
def _shape(text: str) -> tuple[bool, bool, int]:
    """Return whether a text asks, whether it denies, and its number of words."""
    found = words(text)
    asks = "?" in text or (bool(found) and found[0] in ASKING)
    return asks, not NEGATIONS.isdisjoint(found), len(found)


def features(
    cosine: float, part: str, whole: str, heard: str, rarity: Rarity, around: Neighbours
) -> list[float]:
    """Return what the regression sees, in the order of `FEATURES`.

    Args:
        cosine: Of the part and the example.
        part: The message, or the sentence of it that is near the example.
        whole: The message.
        heard: The example.
        rarity: Of the task's words.
        around: Of the example's answer.
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
        *around,
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
