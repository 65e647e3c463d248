"""Ranking metrics, their paired bootstrap, and the aspects of a ranking by dialogue round.

Equal scores are broken by position, the earlier candidate first. A turn with fewer candidates than
`at` is measured on those it has. The metrics are not sklearn's: its `ndcg_score` raises on a turn
with a single candidate, and the bootstrap needs the figures of every turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from langgraph_cooper.ranker.data.dialogue import LAST_ROUND
from langgraph_cooper.ranker.data.labels import LabelledTurn
from langgraph_cooper.ranker.evaluation.baselines import Scores

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


DRAWN_AT_ONCE = 500
"""Resamples that are drawn or weighed at once; a multiple of 4, as vector instructions like it."""


class Resamples:
    """How often each group is drawn, in resamples of all groups with replacement.

    Attributes:
        drawn: [S, G] counts.

    Args:
        groups: Number of groups.
        samples: Number of resamples.
        seed: Seed of the draws.
    """

    def __init__(self, groups: int, samples: int, seed: int) -> None:
        random, shares = np.random.default_rng(seed), np.full(groups, 1 / groups)
        # A byte holds a count: one above 255 needs more groups, and is then drawn never (1 / 255!).
        self.drawn = np.empty((samples, groups), np.uint8)
        for start in range(0, samples, DRAWN_AT_ONCE):
            rows = self.drawn[start : start + DRAWN_AT_ONCE]
            rows[:] = random.multinomial(groups, shares, size=len(rows))

    def sums(self, each: Floats) -> Floats:
        """Return [S, ...], for [G, ...] sums of the groups those of every resample."""
        return np.concatenate([rows @ each for rows in self.chunks(DRAWN_AT_ONCE)])

    def chunks(self, size: int) -> Iterator[Floats]:
        """Yield [size, G], some resamples after others."""
        for start in range(0, len(self.drawn), size):
            yield self.drawn[start : start + size].astype(np.float64)


class Bootstrap:
    """Paired bootstrap test of the difference between the means of two rankings, two-sided.

    The paired differences are resampled with replacement and centred on zero; p is the share of
    resampled means at least as far from zero as the observed one. Whole dialogues are resampled,
    since turns of one dialogue are not independent. All p-values come from the same resamples.

    Args:
        groups: [T], the dialogue of each turn.
        samples: Number of resamples.
        seed: Seed of the resampling.
    """

    def __init__(
        self, groups: Sequence[int] | Array, *, samples: int = 10_000, seed: int = 0
    ) -> None:
        _, self._group = np.unique(np.asarray(groups), return_inverse=True)  # [T]
        sizes = np.bincount(self._group).astype(np.float64)  # [G]
        self._resamples = Resamples(len(sizes), samples, seed)
        self._turns = self._resamples.sums(sizes)  # [samples]
        self.samples = samples
        self.groups = len(sizes)

    def p(self, first: Sequence[float] | Array, second: Sequence[float] | Array) -> float:
        """Return the p-value of the difference between two rankings.

        Args:
            first: [T] figures of one ranking.
            second: [T] figures of the other on the same turns.

        Returns:
            A value in (0, 1]. It is never 0 (add-one), as `samples` resamples cannot show that. It
            is 1.0 for a single dialogue, which says nothing about others.
        """
        differences = np.asarray(first, np.float64) - np.asarray(second, np.float64)
        if self.groups < 2:
            return 1.0
        sums = np.bincount(self._group, weights=differences).astype(np.float64)
        means = self._resamples.sums(sums) / self._turns
        observed = differences.mean()
        # The tolerance makes sums of the same numbers in another order equal.
        extreme = np.abs(means - observed) >= abs(observed) - 1e-12
        return float((extreme.sum() + 1) / (self.samples + 1))


def turns_per_round(turns: Sequence[LabelledTurn]) -> npt.NDArray[np.int64]:
    """[R] number of turns in each round 1..R; the last one includes all later rounds."""
    return np.bincount(_rounds(turns), minlength=LAST_ROUND)


def promoted_by_round(turns: Sequence[LabelledTurn], aspects: Sequence[str]) -> Floats:
    """[R, A] shares of the aspects that the real utterances promote; a round's row sums to 1.

    An utterance that promotes several aspects counts for each in equal parts.
    """
    shares = [[(a in turn.promoted) / len(turn.promoted) for a in aspects] for turn in turns]
    return shares_by_round(turns, np.array(shares, np.float64))


def chosen_by_round(
    turns: Sequence[LabelledTurn], scores: Scores, aspects: Sequence[str]
) -> Floats:
    """[R, A] shares of the aspects of the candidates that a ranking puts first."""
    chosen = np.zeros((len(turns), len(aspects)))
    for row, (turn, values) in enumerate(zip(turns, scores, strict=True)):
        first = turn.turn.candidates[int(ranking(values)[0])]
        chosen[row, aspects.index(first.aspect)] = 1.0
    return shares_by_round(turns, chosen)


def shares_by_round(turns: Sequence[LabelledTurn], each: Floats) -> Floats:
    """[R, A] means of [T, A] over the turns of each round; zeros for a round without turns."""
    sums = np.zeros((LAST_ROUND, each.shape[1]))
    np.add.at(sums, _rounds(turns), each)
    return sums / np.maximum(turns_per_round(turns), 1)[:, None]


def distance(first: Floats, second: Floats, weights: npt.NDArray[np.int64]) -> float:
    """Mean total variation distance between two sets of shares, in [0, 1].

    Args:
        first: [R, A] shares.
        second: [R, A] shares.
        weights: [R] turns of each round.
    """
    each = np.abs(first - second).sum(axis=1) / 2  # [R]
    return float(np.average(each, weights=weights))


def _rounds(turns: Sequence[LabelledTurn]) -> npt.NDArray[np.int64]:
    """[T] the row of each turn's round."""
    return np.array([min(turn.round, LAST_ROUND) - 1 for turn in turns], np.int64)
