"""Ranking metrics of each turn, and their means.

Equal scores are broken by position, the earlier candidate first. A turn with fewer candidates than
`at` is measured on those it has. The metrics are not sklearn's: its `ndcg_score` raises on a turn
with a single candidate, and the bootstrap needs the figures of every turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from langgraph_cooper.ranker.data.labels import LabelledTurn

Array = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float64]

DEPTH = 5
"""hit@n and precision@n are reported for n = 1..DEPTH, nDCG at DEPTH."""


def ranking(scores: Sequence[float] | Array) -> npt.NDArray[np.int64]:
    """Positions of the candidates, best score first; NaN counts as the lowest score."""
    values = np.asarray(scores, np.float64)
    return np.argsort(-np.where(np.isnan(values), -np.inf, values), kind="stable")


def hit(scores: Sequence[float] | Array, labels: Sequence[int] | Array, at: int) -> float:
    """1.0 if the candidate with the highest label is among the first `at`, else 0.0."""
    return float(int(np.argmax(np.asarray(labels))) in ranking(scores)[:at])


def precision(scores: Sequence[float] | Array, hits: Sequence[bool] | Array, at: int) -> float:
    """Share of the first `at` that promote a ground-truth aspect."""
    return float(np.asarray(hits, np.float64)[ranking(scores)[:at]].mean())


def ndcg(scores: Sequence[float] | Array, gains: Sequence[float] | Array, at: int = DEPTH) -> float:
    """Discounted cumulative gain of the first `at`, as a share of the best possible.

    Gains are not negative. A turn without any gain counts 0.0.
    """
    values = np.asarray(gains, np.float64)
    discounts = 1.0 / np.log2(np.arange(2, min(at, len(values)) + 2))
    best = float(np.sort(values)[::-1][:at] @ discounts)
    return float(values[ranking(scores)[:at]] @ discounts) / best if best > 0 else 0.0


def turn_gains(turn: LabelledTurn) -> Floats:
    """Gains [n] for nDCG, in [0, 2]: the two criteria of the labels, graded.

    A candidate of a ground-truth aspect gains 1 plus its similarity to the real utterance; any
    other gains half its similarity, at most 1/2.
    """
    similarity = np.clip(turn.similarity.astype(np.float64), 0.0, 1.0)
    return np.where(turn.hits, 1.0 + similarity, similarity / 2)


@dataclass(frozen=True)
class Figures:
    """The metrics of one ranking, turn by turn.

    Attributes:
        hit: [T, DEPTH], column n - 1 for hit@n.
        precision: [T, DEPTH].
        ndcg: [T], at DEPTH.
    """

    hit: Floats
    precision: Floats
    ndcg: Floats

    def columns(self) -> dict[str, Floats]:
        """[T] of each metric, by name: hit@1.., precision@1.., ndcg@5."""
        named = {f"hit@{n + 1}": self.hit[:, n] for n in range(DEPTH)}
        named |= {f"precision@{n + 1}": self.precision[:, n] for n in range(DEPTH)}
        return named | {f"ndcg@{DEPTH}": self.ndcg}

    def means(self) -> dict[str, float]:
        """Means over the turns, by name."""
        return {name: float(values.mean()) for name, values in self.columns().items()}


def measure(turns: Sequence[LabelledTurn], scores: Sequence[Sequence[float] | Array]) -> Figures:
    """Measure one ranking of all turns.

    Args:
        turns: At least one.
        scores: For each turn its candidates' scores [n].
    """
    pairs = list(zip(turns, scores, strict=True))
    depths = range(1, DEPTH + 1)
    return Figures(
        hit=np.array([[hit(s, turn.labels, at) for at in depths] for turn, s in pairs]),
        precision=np.array([[precision(s, turn.hits, at) for at in depths] for turn, s in pairs]),
        ndcg=np.array([ndcg(s, turn_gains(turn)) for turn, s in pairs]),
    )
