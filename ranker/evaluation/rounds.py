"""Aspects by dialogue round: what the real utterances promote and what a ranking puts first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from langgraph_cooper.ranker.data.dialogue import LAST_ROUND
from langgraph_cooper.ranker.data.labels import LabelledTurn
from langgraph_cooper.ranker.evaluation.baselines import Scores
from langgraph_cooper.ranker.evaluation.metrics import Floats, ranking


class InRound(Protocol):
    """A turn in a round of its dialogue."""

    @property
    def round(self) -> int:
        """The round, from 1 on."""


class Promoting(InRound, Protocol):
    """A turn whose real utterance promotes aspects."""

    @property
    def promoted(self) -> frozenset[str]:
        """The aspects, one at least; "passive" among them."""


def promoted_shares(turns: Sequence[Promoting], aspects: Sequence[str]) -> Floats:
    """[T, A] shares of the aspects that each real utterance promotes; a turn's row sums to 1.

    An utterance that promotes several aspects counts for each in equal parts.
    """
    shares = [[(a in turn.promoted) / len(turn.promoted) for a in aspects] for turn in turns]
    return np.array(shares, np.float64)


def first_choices(turns: Sequence[LabelledTurn], scores: Scores, aspects: Sequence[str]) -> Floats:
    """[T, A], 1 for the aspect of the candidate that a ranking puts first in each turn."""
    chosen = np.zeros((len(turns), len(aspects)))
    for row, (turn, values) in enumerate(zip(turns, scores, strict=True)):
        first = turn.turn.candidates[int(ranking(values)[0])]
        chosen[row, aspects.index(first.aspect)] = 1.0
    return chosen


def turns_per_round(turns: Sequence[InRound]) -> npt.NDArray[np.int64]:
    """[R] number of turns in each round 1..R; the last one includes all later rounds."""
    return np.bincount(_rounds(turns), minlength=LAST_ROUND)


def promoted_by_round(turns: Sequence[Promoting], aspects: Sequence[str]) -> Floats:
    """[R, A] shares of the aspects that the real utterances promote; a round's row sums to 1."""
    return shares_by_round(turns, promoted_shares(turns, aspects))


def chosen_by_round(
    turns: Sequence[LabelledTurn], scores: Scores, aspects: Sequence[str]
) -> Floats:
    """[R, A] shares of the aspects of the candidates that a ranking puts first."""
    return shares_by_round(turns, first_choices(turns, scores, aspects))


def shares_by_round(turns: Sequence[InRound], each: Floats) -> Floats:
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


def _rounds(turns: Sequence[InRound]) -> npt.NDArray[np.int64]:
    """[T] the row of each turn's round."""
    return np.array([min(turn.round, LAST_ROUND) - 1 for turn in turns], np.int64)
