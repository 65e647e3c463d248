"""Fitting a calibration: what was asked for is reached, by the conversation's own arithmetic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from langgraph_cooper.ranker.data.dialogue import AnnotatedTurn, Candidate, DataError
from langgraph_cooper.ranker.data.labels import LabelledTurn
from langgraph_cooper.ranker.evaluation.coordination import Trade, coordinated
from langgraph_cooper.ranker.training.calibration import ScoredTurns, fit_calibration

ASPECTS = ("ask", "act", "passive")
SHARES = np.array([[0.6, 0.3, 0.1], [0.2, 0.6, 0.2]])
CANDIDATES = tuple(Candidate(aspect=name, strategy="", topic=name) for name in ASPECTS)


def drawn(count: int) -> ScoredTurns:
    """Conversations of two to five rounds, and a ranker that likes "act" too much."""
    random = np.random.default_rng(0)
    turns, scores, expected = [], [], []
    for dialogue in range(count):
        for number in range(1, int(random.integers(3, 7))):
            share = SHARES[min(number, 2) - 1]
            promoted = str(random.choice(ASPECTS, p=share))
            hits = np.array([name == promoted for name in ASPECTS])
            turns.append(
                LabelledTurn(
                    dialogue=dialogue,
                    turn=AnnotatedTurn(index=2 * number - 1, states={}, candidates=CANDIDATES),
                    round=number,
                    labels=np.array([3, 2, 1]),
                    hits=hits,
                    similarity=np.zeros(3, np.float32),
                    promoted=frozenset([promoted]),
                )
            )
            known = 0.7 * share + 0.3 * (hits if random.random() < 0.7 else share)
            expected.append(known)
            scores.append(np.log(known) + np.array([0.0, 1.0, 0.0]))
    return ScoredTurns(turns, scores, np.array(expected), ASPECTS)


SCORED = drawn(150)


def test_at_full_strength_the_shares_are_those_of_the_people() -> None:
    found = fit_calibration(SCORED)
    trade = Trade(SCORED.turns, SCORED.scores, SCORED.named(), ASPECTS)
    before = trade.distance(trade.first(SCORED.scores))
    args = (SCORED.turns, SCORED.scores, SCORED.named(), found)
    assert before > 0.3
    # Measured by the code of a conversation, not by the fit's own arrays.
    assert trade.distance(trade.first(coordinated(*args, 1.0))) < 0.08
    assert found.tuning is not None
    assert found.tuning.distances[0.0] == pytest.approx(before, abs=1e-3)
    assert (found.tuning.dialogues, found.tuning.turns) == (150, len(SCORED.turns))


def test_the_weakest_strength_that_reaches_the_target_is_taken() -> None:
    found = fit_calibration(SCORED, target=0.2)
    assert found.tuning is not None
    reached = [step for step, value in found.tuning.distances.items() if value <= 0.2]
    assert 0 < found.strength == min(reached) < 1
    assert fit_calibration(SCORED, target=1.0).strength == 0.0
    hopeless = fit_calibration(SCORED, target=0.0)
    assert hopeless.tuning is not None
    best = min(hopeless.tuning.distances.values())
    assert hopeless.tuning.distances[hopeless.strength] == best


def test_where_no_aspect_is_offered_in_most_turns_the_offsets_are_zero() -> None:
    turns = [
        replace(turn, turn=turn.turn.model_copy(update={"candidates": (CANDIDATES[row % 3],)}))
        for row, turn in enumerate(SCORED.turns)
    ]
    rare = ScoredTurns(turns, [np.zeros(1) for _ in turns], SCORED.expected, ASPECTS)
    assert not np.array(fit_calibration(rare).offsets).any()


def test_a_single_conversation_is_refused() -> None:
    one = SCORED.of([row for row, turn in enumerate(SCORED.turns) if turn.dialogue == 0])
    with pytest.raises(DataError, match="at least two conversations"):
        fit_calibration(one)
