"""Exact sign tests and intervals of shares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest
from scipy.stats import t as student_t


class Sign(NamedTuple):
    """The result of a sign test.

    Attributes:
        wins: Units that one side won.
        losses: Units that the other won.
        p: Two-sided; 1 where nothing was won or lost.
        share: Of the wins among both; None where there is neither.
        interval: Exact 95 % interval of the share (Clopper and Pearson 1934).
    """

    wins: int
    losses: int
    p: float
    share: float | None
    interval: tuple[float, float] | None


def sign_test(wins: int, losses: int) -> Sign:
    """Test whether both sides win equally often; ties say nothing about it.

    Args:
        wins: Units that one side won.
        losses: Units that the other won.
    """
    if wins + losses == 0:
        return Sign(wins, losses, 1.0, None, None)
    found = binomtest(wins, wins + losses)
    low, high = found.proportion_ci(confidence_level=0.95, method="exact")
    return Sign(
        wins, losses, float(found.pvalue), wins / (wins + losses), (float(low), float(high))
    )


def signs_by_unit(results: Sequence[tuple[str, int]]) -> tuple[int, int]:
    """Count units won and lost.

    Several results of one unit (a role that is played in three manners, say) are not independent:
    the unit counts once, by the sign of their sum.

    Args:
        results: Pairs of a unit and 1 (won), -1 (lost) or 0 (neither).
    """
    sums: dict[str, int] = {}
    for unit, result in results:
        sums[unit] = sums.get(unit, 0) + result
    return sum(each > 0 for each in sums.values()), sum(each < 0 for each in sums.values())


def ratio_interval(
    sums: npt.NDArray[np.float64], sizes: npt.NDArray[np.float64]
) -> tuple[float, float] | None:
    """Return the 95 % interval of sum(sums) / sum(sizes), over independent units.

    It is the cluster-robust t interval, linearised, with N - 1 degrees of freedom. A bootstrap over
    few units is too narrow: no resample exceeds the best of them.

    Args:
        sums: [N] of each unit.
        sizes: [N] the number of its results.

    Returns:
        The ends; None for a single unit, which tells nothing of others.
    """
    units, total = len(sums), float(sizes.sum())
    if units < 2:
        return None
    ratio = float(sums.sum()) / total
    squares = float(((sums - ratio * sizes) ** 2).sum())
    error = math.sqrt(squares * units / (units - 1)) / total
    reach = float(student_t.ppf(0.975, units - 1)) * error
    return ratio - reach, ratio + reach
