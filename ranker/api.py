"""The interface between the graph's nodes and a ranker; needs no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from langgraph_cooper.ranker.data.dialogue import Utterance

Array = npt.NDArray[np.float32]


class Progression(NamedTuple):
    """The progression analysis of one aspect's state."""

    signal: Array
    """`[2, n_d]`: p = [v; s]."""
    targets: tuple[tuple[str, float], ...]
    """Typical target states as text with their attention weights, heaviest first."""
    progress: float
    """In [0, 1]; the scale depends on the ranker (see `ProgressionModule`)."""


class ScoredTopic(NamedTuple):
    """A topic candidate to score."""

    aspect: str
    topic: str


class Ranker(Protocol):
    """Embeds states, analyses progression and scores topic candidates."""

    name: str
    trained: bool
    dimension: int

    def embed(self, texts: Sequence[str]) -> Array:
        """Return embeddings `[N, n_d]` of unit norm; the zero vector for an empty text."""
        ...

    def progression(self, aspect: str, state: str) -> Progression:
        """Analyse one aspect's state summary."""
        ...

    def score(
        self,
        history: Sequence[Utterance],
        candidates: Sequence[ScoredTopic],
        signals: Mapping[str, Array],
    ) -> list[float]:
        """Score candidates, given the progression signal `[2, n_d]` of every aspect.

        Higher is better. The coordinator replaces scores that are not finite (`finite`).
        """
        ...


def finite(scores: Sequence[float]) -> list[float]:
    """Replace NaN and -inf by a score below, and +inf by one above, all finite scores.

    Sorting by a NaN leaves an arbitrary order, and JSON cannot express one.
    """
    real = [score for score in scores if math.isfinite(score)]
    low, high = (min(real) - 1.0, max(real) + 1.0) if real else (0.0, 1.0)
    return [
        score if math.isfinite(score) else high if score == math.inf else low for score in scores
    ]
