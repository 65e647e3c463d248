"""A ranker without a model: embeddings are hashed words, and a test decides the scores."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from langgraph_cooper.ranker.api import Progression, ScoredTopic
from langgraph_cooper.ranker.data.dialogue import Utterance

DIMENSION = 64
Array = NDArray[np.float32]


@lru_cache(maxsize=50_000)
def _direction(word: str) -> Array:
    drawn = np.random.default_rng(zlib.crc32(word.encode("utf-8", "replace")))
    return drawn.standard_normal(DIMENSION).astype(np.float32)


def embed(texts: Sequence[str]) -> Array:
    """[N, 64] unit-norm sums of word vectors, the zero vector for an empty text.

    Texts that share words are near one another, as for a real encoder.
    """
    return _embedded(tuple(texts)).copy()


@lru_cache(maxsize=256)  # a shipped task's examples are embedded for each graph
def _embedded(texts: tuple[str, ...]) -> Array:
    rows = np.zeros((len(texts), DIMENSION), dtype=np.float32)
    for row, text in enumerate(texts):
        for word in text.lower().replace(".", " ").replace("?", " ").split():
            rows[row] += _direction(word)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    result: Array = rows / np.where(norms > 0, norms, 1)
    return result


class FakeRanker:
    """Replaces a ranker; scores by similarity to the last words by default.

    Args:
        prefer: Returns the score of a candidate.
    """

    name = "fake"
    trained = False
    dimension = DIMENSION

    def __init__(self, prefer: Callable[[ScoredTopic], float] | None = None) -> None:
        self._prefer = prefer

    def embed(self, texts: Sequence[str]) -> Array:
        return embed(texts)

    def progression(self, aspect: str, state: str) -> Progression:
        (vector,) = embed([state])
        return Progression(np.stack([vector, vector]), ((f"The end of {aspect}.", 1.0),), 0.5)

    def score(
        self,
        history: Sequence[Utterance],
        candidates: Sequence[ScoredTopic],
        signals: Mapping[str, Array],
    ) -> list[float]:
        if self._prefer:
            return [self._prefer(candidate) for candidate in candidates]
        (last,) = embed([history[-1].text if history else ""])
        return [float(vector @ last) for vector in embed([c.topic for c in candidates])]
