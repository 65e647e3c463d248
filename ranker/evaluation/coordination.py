"""Calibrated coordination measured offline, and the trade of its strength.

Each turn's history is the real one, as in every offline evaluation. The choices that count as
earlier ones are the ranking's own first choices on the turns before, not what the people took up:
in a conversation, too, only its own are known to be its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from langgraph_cooper.ranker.data.labels import LabelledTurn
from langgraph_cooper.ranker.evaluation.aspect_prior import AspectPrior
from langgraph_cooper.ranker.evaluation.baselines import Scores
from langgraph_cooper.ranker.evaluation.bootstrap import Bootstrap
from langgraph_cooper.ranker.evaluation.metrics import Floats, measure
from langgraph_cooper.ranker.evaluation.rounds import (
    distance,
    first_choices,
    promoted_shares,
    shares_by_round,
    turns_per_round,
)
from langgraph_cooper.ranker.model.calibration import (
    Calibration,
    Choice,
    first_choice,
    lifted,
)

STRENGTHS = tuple(round(0.05 * step, 2) for step in range(21))
"""Strengths of a trade."""

SHOWN = ("precision@1", "hit@1", "hit@3", "ndcg@5")
"""Metrics of a trade."""

Expected = Sequence[Mapping[str, float]]
"""For each turn P(aspect | round, last three utterances), summing to 1."""


def conversations(turns: Sequence[LabelledTurn]) -> list[list[int]]:
    """Return the rows of each dialogue's turns, in the order of the conversation."""
    rows: dict[int, list[int]] = {}
    for row, turn in enumerate(turns):
        rows.setdefault(turn.dialogue, []).append(row)
    return [sorted(found, key=lambda row: turns[row].turn.index) for found in rows.values()]


def coordinated(
    turns: Sequence[LabelledTurn],
    scores: Scores,
    expected: Expected,
    calibration: Calibration,
    strength: float | None = None,
) -> Scores:
    """Return the scores with each turn's first choice lifted, as in a conversation.

    Args:
        turns: The turns.
        scores: The ranker's finite scores of their candidates.
        expected: For each turn P(aspect).
        calibration: Its terms.
        strength: Replaces its own strength.
    """
    found: Scores = list(scores)
    for rows in conversations(turns):
        past: list[Choice] = []
        for row in rows:
            terms = calibration.terms(turns[row].round, expected[row], past, strength)
            candidates = turns[row].turn.candidates
            choice = first_choice(scores[row], [c.aspect for c in candidates], terms)
            found[row] = lifted(scores[row], choice)
            past.append(Choice(candidates[choice].aspect, expected[row]))
    return found


class Trade:
    """Precision against the distance to what people take up, on one set of turns.

    Args:
        turns: The turns.
        scores: The ranker's scores, uncalibrated.
        expected: For each turn P(aspect).
        aspects: The aspects, the passive one last.
    """

    def __init__(
        self,
        turns: Sequence[LabelledTurn],
        scores: Scores,
        expected: Expected,
        aspects: Sequence[str],
    ) -> None:
        self.turns = turns
        self.scores = scores
        self.expected = expected
        self.aspects = list(aspects)
        self._weights = turns_per_round(turns)
        self._people = promoted_shares(turns, self.aspects)
        self._truth = shares_by_round(turns, self._people)
        self._conversations = conversations(turns)

    def first(self, scores: Scores) -> Floats:
        """Return [T, A], 1 for the aspect of each turn's first candidate."""
        return first_choices(self.turns, scores, self.aspects)

    def distance(self, chosen: Floats) -> float:
        """Return the distance by round of choices [T, A]."""
        return distance(self._truth, shares_by_round(self.turns, chosen), self._weights)

    def within(self, chosen: Floats) -> float:
        """Return the mean total variation distance within each conversation."""
        gaps = [chosen[r].mean(axis=0) - self._people[r].mean(axis=0) for r in self._conversations]
        return float(np.mean(np.abs(gaps).sum(axis=1) / 2))

    def rows(
        self,
        calibration: Calibration,
        prior: AspectPrior,
        bootstrap: Bootstrap,
        strengths: Iterable[float] = STRENGTHS,
    ) -> list[dict[str, Any]]:
        """Return for each strength its figures, and those of dice at the same distance.

        Dice take the ranking's first choice, or with some probability draw the aspect from
        P(aspect | round) among those with candidates. Their figures are expectations.
        """
        dice = Dice(self, prior)
        found = []
        for strength in strengths:
            scores = coordinated(self.turns, self.scores, self.expected, calibration, strength)
            chosen = self.first(scores)
            figures = measure(self.turns, scores)
            row: dict[str, Any] = {
                "strength": strength,
                "distance": self.distance(chosen),
                "within": self.within(chosen),
                **{name: figures.means()[name] for name in SHOWN},
            }
            share = dice.share(row["distance"])
            if share is not None:
                hits = dice.hits(share)
                row["dice"] = {
                    "share": share,
                    "distance": dice.distance(share),
                    "precision@1": float(hits.mean()),
                    "p": bootstrap.p(figures.precision[:, 0], hits),
                }
            found.append(row)
        return found


class Dice:
    """The ranking's first choice mixed with draws from P(aspect | round).

    Args:
        trade: The turns and the uncalibrated scores.
        prior: P(aspect | round).
    """

    STEPS = 1000

    def __init__(self, trade: Trade, prior: AspectPrior) -> None:
        self._trade = trade
        self._first = trade.first(trade.scores)
        drawn = np.zeros_like(self._first)
        for row, turn in enumerate(trade.turns):
            for aspect in {candidate.aspect for candidate in turn.turn.candidates}:
                share = prior.probability(aspect, turn.round)
                drawn[row, trade.aspects.index(aspect)] = share
        sums = drawn.sum(axis=1, keepdims=True)
        self._drawn = np.where(sums > 0, drawn / np.where(sums > 0, sums, 1.0), self._first)
        self._right = promoted_shares(trade.turns, trade.aspects) > 0

    def distance(self, share: float) -> float:
        """Return the distance of the expected choices with this share of draws."""
        return self._trade.distance(self._mixed(share))

    def hits(self, share: float) -> npt.NDArray[np.float64]:
        """Return [T] the probability of a first choice of a ground-truth aspect."""
        hits: npt.NDArray[np.float64] = (self._mixed(share) * self._right).sum(axis=1)
        return hits

    def share(self, target: float) -> float | None:
        """Return the smallest share of draws with at most this distance; None if there is none."""
        steps = (step / self.STEPS for step in range(self.STEPS + 1))
        return next((s for s in steps if self.distance(s) <= target + 1e-9), None)

    def rows(self) -> list[dict[str, float]]:
        """Return the figures of some shares of draws, from none to all."""
        return [
            {
                "share": share,
                "distance": self.distance(share),
                "precision@1": float(self.hits(share).mean()),
            }
            for share in STRENGTHS
        ]

    def _mixed(self, share: float) -> Floats:
        mixed: Floats = (1 - share) * self._first + share * self._drawn
        return mixed


def expectations(ranker: Any, histories: Iterable[Any]) -> list[dict[str, float]]:
    """Return for each history what the ranker expects; see `TrainedRanker.expected`."""
    return [ranker.expected(history) for history in histories]
