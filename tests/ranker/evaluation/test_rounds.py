"""Aspects by round: counted by hand, and how far two distributions lie apart."""

from __future__ import annotations

import numpy as np
import pytest

from langgraph_cooper.ranker.data.dialogue import AnnotatedTurn, Candidate
from langgraph_cooper.ranker.data.labels import LabelledTurn
from langgraph_cooper.ranker.evaluation.rounds import (
    chosen_by_round,
    distance,
    first_choices,
    promoted_by_round,
    promoted_shares,
    turns_per_round,
)

ASPECTS = ("explore", "act")


def turn(number: int, *promoted: str) -> LabelledTurn:
    both = tuple(Candidate(aspect=name, strategy="", topic=name) for name in ASPECTS)
    return LabelledTurn(
        dialogue=0,
        turn=AnnotatedTurn(index=0, states={}, candidates=both),
        round=number,
        labels=np.array([2, 1]),
        hits=np.array([True, False]),
        similarity=np.zeros(2, np.float32),
        promoted=frozenset(promoted),
    )


TURNS = [turn(1, "explore"), turn(1, "explore", "act"), turn(2, "act"), turn(20, "act")]


def test_shares_of_a_round_add_up_to_one() -> None:
    shares = promoted_by_round(TURNS, ASPECTS)
    assert shares.shape == (15, 2)
    assert shares[0].tolist() == [0.75, 0.25]
    assert shares[14].tolist() == [0.0, 1.0]  # round 20 stands with the 15th
    assert shares[5].tolist() == [0.0, 0.0]
    assert turns_per_round(TURNS)[[0, 1, 14]].tolist() == [2, 1, 1]


def test_an_utterance_counts_for_each_of_its_aspects_in_equal_parts() -> None:
    assert promoted_shares(TURNS, ASPECTS).tolist() == [[1, 0], [0.5, 0.5], [0, 1], [0, 1]]


def test_the_first_choice_counts() -> None:
    scores = [np.array(s) for s in ([1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.0, 1.0])]
    assert first_choices(TURNS, scores, ASPECTS).tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]
    shares = chosen_by_round(TURNS, scores, ASPECTS)
    assert shares[0].tolist() == [0.5, 0.5]
    assert shares[1].tolist() == [1.0, 0.0]  # a tie goes to the earlier one


def test_distance_by_hand() -> None:
    truth = promoted_by_round(TURNS, ASPECTS)
    always = chosen_by_round(TURNS, [np.array([1.0, 0.0])] * 4, ASPECTS)
    # Round 1: |.75 - 1|, twice; rounds 2 and 15: 1 each; four turns.
    assert distance(truth, always, turns_per_round(TURNS)) == pytest.approx((0.25 * 2 + 2) / 4)
    assert distance(truth, truth, turns_per_round(TURNS)) == 0.0
