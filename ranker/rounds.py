"""Which aspect is promoted in which round: by the real utterances, and by a ranking's first choice.

The paper's Figure 3. How far two such distributions lie apart is the total variation distance
1/2 sum_a |p(a) - q(a)| of each round, averaged over the rounds with their turns as weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from langgraph_cooper.ranker.baselines import Scores
from langgraph_cooper.ranker.dialogue import LAST_ROUND
from langgraph_cooper.ranker.labels import LabelledTurn
from langgraph_cooper.ranker.metrics import ranking

Floats = npt.NDArray[np.float64]


def turns_per_round(turns: Sequence[LabelledTurn]) -> npt.NDArray[np.int64]:
    """[R] how many turns fall in each round 1..R; the last one stands for all that follow."""
    return np.bincount(_rows(turns), minlength=LAST_ROUND)


def promoted_by_round(turns: Sequence[LabelledTurn], aspects: Sequence[str]) -> Floats:
    """[R, A] shares of the aspects that the real utterances promote; rows of rounds add up to 1.

    An utterance that promotes several aspects counts for each in equal parts.
    """
    shares = [[(a in turn.promoted) / len(turn.promoted) for a in aspects] for turn in turns]
    return _means(turns, np.array(shares, np.float64))


def chosen_by_round(
    turns: Sequence[LabelledTurn], scores: Scores, aspects: Sequence[str]
) -> Floats:
    """[R, A] shares of the aspects of the candidates that a ranking puts first."""
    chosen = np.zeros((len(turns), len(aspects)))
    for row, (turn, values) in enumerate(zip(turns, scores, strict=True)):
        first = turn.turn.candidates[int(ranking(values)[0])]
        chosen[row, aspects.index(first.aspect)] = 1.0
    return _means(turns, chosen)


def distance(first: Floats, second: Floats, weights: npt.NDArray[np.int64]) -> float:
    """Mean total variation distance, in [0, 1].

    Args:
        first: [R, A] shares.
        second: [R, A].
        weights: [R] turns of each round.
    """
    each = np.abs(first - second).sum(axis=1) / 2  # [R]
    return float(np.average(each, weights=weights))


def _rows(turns: Sequence[LabelledTurn]) -> npt.NDArray[np.int64]:
    return np.array([min(turn.round, LAST_ROUND) - 1 for turn in turns], np.int64)


def _means(turns: Sequence[LabelledTurn], each: Floats) -> Floats:
    """[R, A] means of [T, A] over the turns of each round; zeros where a round has none."""
    sums = np.zeros((LAST_ROUND, each.shape[1]))
    np.add.at(sums, _rows(turns), each)
    return sums / np.maximum(turns_per_round(turns), 1)[:, None]
