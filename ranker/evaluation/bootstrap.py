"""Paired bootstrap test between the figures of two rankings, and the resamples it draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from langgraph_cooper.ranker.evaluation.metrics import Array, Floats

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
