"""Ranking at inference: the interface that the graph's nodes use, and how a ranker is loaded.

Torch is imported when a trained ranker is loaded, not with this module.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from langgraph_cooper.ranker.data.dialogue import Utterance

if TYPE_CHECKING:
    pass

Array = npt.NDArray[np.float32]
Precision = Literal["auto", "float32", "bfloat16"]


class Progression(NamedTuple):
    """What the progression analysis module of one aspect says about a state."""

    signal: Array
    """`[2, n_d]`: p = [v; s]."""
    targets: tuple[tuple[str, float], ...]
    """Typical target states as text with their attention weights, heaviest first."""
    progress: float
    """In [0, 1]; its scale is the ranker's (see `ProgressionModule`)."""


class ScoredTopic(NamedTuple):
    """A topic candidate to be scored."""

    aspect: str
    topic: str


class Ranker(Protocol):
    """Embeds states, analyses progression and scores topic candidates."""

    name: str
    trained: bool
    dimension: int

    def embed(self, texts: Sequence[str]) -> Array:
        """State embeddings `[N, n_d]` of unit norm; the zero vector for an empty text."""
        ...

    def progression(self, aspect: str, state: str) -> Progression:
        """Analyses one aspect's state summary."""
        ...

    def score(
        self,
        history: Sequence[Utterance],
        candidates: Sequence[ScoredTopic],
        signals: Mapping[str, Array],
    ) -> list[float]:
        """Scores candidates, given the progression signal `[2, n_d]` of every aspect."""
        ...


def finite(scores: Sequence[float]) -> list[float]:
    """Scores in the same order without NaN and infinities; NaN and -inf become the lowest.

    Sorting by a NaN leaves an arbitrary order, and JSON has no word for one.
    """
    real = [score for score in scores if math.isfinite(score)]
    low, high = (min(real) - 1.0, max(real) + 1.0) if real else (0.0, 1.0)
    return [
        score if math.isfinite(score) else high if score == math.inf else low for score in scores
    ]
