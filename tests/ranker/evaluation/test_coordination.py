"""Calibrated coordination offline: the ranking's own choices count, and what the trade says."""

from __future__ import annotations

import numpy as np
import pytest

from langgraph_cooper.ranker.data.dialogue import AnnotatedTurn, Candidate
from langgraph_cooper.ranker.data.labels import LabelledTurn
from langgraph_cooper.ranker.evaluation.aspect_prior import AspectPrior, PromotedTurn
from langgraph_cooper.ranker.evaluation.bootstrap import Bootstrap
from langgraph_cooper.ranker.evaluation.coordination import Dice, Trade, coordinated
from langgraph_cooper.ranker.model.calibration import Calibration

ASPECTS = ("ask", "act")
EVEN = {"ask": 0.5, "act": 0.5}


def turn(dialogue: int, number: int, promoted: str) -> LabelledTurn:
    both = tuple(Candidate(aspect=name, strategy="", topic=name) for name in ASPECTS)
    hits = np.array([name == promoted for name in ASPECTS])
    return LabelledTurn(
        dialogue=dialogue,
        turn=AnnotatedTurn(index=2 * number - 1, states={}, candidates=both),
        round=number,
        labels=np.where(hits, 2, 1),
        hits=hits,
        similarity=np.zeros(2, np.float32),
        promoted=frozenset([promoted]),
    )


QUOTA = Calibration(aspects=ASPECTS, offsets=((0.0, 0.0),), strength=1.0, quota=1.0, memory=1.0)
# Two dialogues, told in a muddle: the people always act.
TURNS = [turn(0, 2, "act"), turn(1, 1, "act"), turn(0, 1, "act"), turn(0, 3, "act")]
SCORES = [np.array([0.2, 0.0])] * 4


def firsts(strength: float) -> list[int]:
    found = coordinated(TURNS, SCORES, [EVEN] * 4, QUOTA, strength)
    return [int(values.argmax()) for values in found]


def test_own_choices_in_the_conversations_order_count() -> None:
    # Dialogue 0: ask, then a debt to act, then even again; dialogue 1 begins anew.
    assert firsts(1.0) == [1, 0, 0, 0]
    assert firsts(0.04) == firsts(0.0) == [0, 0, 0, 0]
    assert [values.tolist() for values in SCORES] == [[0.2, 0.0]] * 4


def prior() -> AspectPrior:
    counted = [PromotedTurn(n, frozenset([a])) for n in (1, 2, 3) for a in ("ask", "act", "act")]
    return AspectPrior.count(counted, smoothing=0.0)


def test_dice_are_measured_by_their_expectation() -> None:
    trade = Trade(TURNS, SCORES, [EVEN] * 4, ASPECTS)
    dice = Dice(trade, prior())
    assert dice.distance(0.0) == pytest.approx(1.0)
    assert dice.distance(1.0) == pytest.approx(1 / 3)
    assert dice.hits(0.3).tolist() == pytest.approx([0.3 * 2 / 3] * 4)
    assert dice.share(0.5) == pytest.approx(0.75)
    assert dice.share(0.2) is None


def test_the_trade_begins_with_the_uncalibrated_ranking() -> None:
    trade = Trade(TURNS, SCORES, [EVEN] * 4, ASPECTS)
    bootstrap = Bootstrap([t.dialogue for t in TURNS], samples=100)
    none, full = trade.rows(QUOTA, prior(), bootstrap, (0.0, 1.0))
    assert (none["strength"], none["distance"], none["within"]) == (0.0, 1.0, 1.0)
    assert none["precision@1"] == none["hit@1"] == 0.0
    assert none["dice"]["share"] == 0.0
    assert full["distance"] == pytest.approx(0.75)
    assert full["within"] == pytest.approx((2 / 3 + 1) / 2)
    assert full["precision@1"] == 0.25
    assert full["dice"]["precision@1"] == pytest.approx(0.25, abs=1e-3)
