"""Calibrated coordination: its terms by hand, and what they do over a conversation."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from langgraph_cooper.ranker.model.calibration import (
    FILE,
    Calibration,
    Choice,
    aspect_shares,
    first_choice,
    lifted,
    load_calibration,
)
from langgraph_cooper.ranker.model.checkpoint import CheckpointError

ASPECTS = ("ask", "act", "passive")
EVEN = dict.fromkeys(ASPECTS, 0.0)


def calibration(**changed: object) -> Calibration:
    fields: dict[str, object] = {
        "aspects": ASPECTS,
        "offsets": ((0.5, -0.5, 0.0), (0.1, 0.2, -0.3)),
        "strength": 0.5,
        "quota": 2.0,
        "memory": 0.5,
    }
    return Calibration.model_validate({**fields, **changed})


def test_terms_by_hand() -> None:
    now = {"ask": 0.6, "act": 0.3, "passive": 0.1}
    assert calibration().terms(1, now, []) == pytest.approx(
        {"ask": 0.5 * (0.5 + 2 * 0.6), "act": 0.5 * (-0.5 + 2 * 0.3), "passive": 0.5 * 2 * 0.1}
    )
    past = [Choice("ask", {"ask": 0.8, "act": 0.2}), Choice("act", {"ask": 0.4, "act": 0.6})]
    debts = {"ask": 0.25 * -0.2 + 0.5 * 0.4 + 0.6, "act": 0.25 * 0.2 + 0.5 * -0.4 + 0.3}
    found = calibration().terms(7, now, past)  # the second row stands for all later rounds
    assert found["ask"] == pytest.approx(0.5 * (0.1 + 2 * debts["ask"]))
    assert found["act"] == pytest.approx(0.5 * (0.2 + 2 * debts["act"]))
    assert calibration().terms(7, now, past, 0.0) == EVEN
    assert calibration().terms(7, now, past, 1.0)["ask"] == pytest.approx(2 * found["ask"])


def test_an_aspect_of_another_task_counts_for_nothing() -> None:
    stranger = [Choice("appeal", {"appeal": 1.0})]
    now = {"ask": 1.0}
    assert calibration().terms(1, now, stranger) == calibration().terms(1, now, [])


def test_over_a_conversation_the_shares_follow_what_is_expected() -> None:
    quota = calibration(offsets=((0.0,) * 3,), strength=1.0, quota=1.0, memory=1.0)
    expected = {"ask": 0.5, "act": 0.3, "passive": 0.2}
    scores = [0.2, 0.1, 0.0]  # alone, the first would be chosen always
    past: list[Choice] = []
    for number in range(1, 41):
        terms = quota.terms(number, expected, past)
        first = first_choice(scores, ASPECTS, terms)
        past.append(Choice(ASPECTS[first], expected))
    counts = Counter(choice.aspect for choice in past)
    assert all(abs(counts[aspect] - 40 * expected[aspect]) <= 1 for aspect in ASPECTS)


def test_only_the_first_choice_moves() -> None:
    scores = [0.3, 2.0, -1.0, 2.0]
    assert np.argsort(-lifted(scores, 2), kind="stable").tolist() == [2, 1, 3, 0]
    assert np.argsort(-lifted(scores, 3), kind="stable").tolist() == [3, 1, 0, 2]
    assert lifted(scores, 1).tolist() == scores
    assert lifted(scores, 2).tolist()[:2] == scores[:2]
    assert scores == [0.3, 2.0, -1.0, 2.0]


def test_the_first_choice_is_the_best_of_its_aspect() -> None:
    scores, aspects = [0.3, 2.0, -1.0, 2.0, 0.4], ["ask", "act", "passive", "act", "ask"]
    shares = aspect_shares(scores, aspects)
    assert list(shares) == ["ask", "act", "passive"]
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares["act"] / shares["ask"] == pytest.approx(np.exp(2.0 - 0.4))
    assert first_choice(scores, aspects, EVEN) == 1  # of equals the earlier one
    short = shares["act"] - shares["ask"]
    assert first_choice(scores, aspects, {**EVEN, "ask": short - 0.01}) == 1
    assert first_choice(scores, aspects, {**EVEN, "ask": short + 0.01}) == 4
    # However far below the scores are: a share is never less than nothing.
    assert first_choice([0.0, -1e6], ["ask", "act"], {**EVEN, "act": 1.01}) == 1
    assert first_choice([0.0, -1e6], ["ask", "act"], {**EVEN, "act": 0.99}) == 0


def test_it_is_kept_beside_a_checkpoint(tmp_path: Path) -> None:
    assert load_calibration(tmp_path, ASPECTS) is None
    calibration().save(tmp_path)
    assert load_calibration(tmp_path, ASPECTS) == calibration()
    with pytest.raises(CheckpointError, match="for the aspects ask, act, passive, not"):
        load_calibration(tmp_path, ("act", "ask", "passive"))
    whole = json.loads((tmp_path / FILE).read_text("utf-8"))
    earlier = {name: value for name, value in whole.items() if name != "added_to"}
    (tmp_path / FILE).write_text(json.dumps(earlier), "utf-8")
    with pytest.raises(CheckpointError, match=r"calibration.json is of an earlier version: remove"):
        load_calibration(tmp_path, ASPECTS)
    for broken in (
        "{",
        json.dumps({**whole, "offsets": [[0.1, 0.2]]}),
        json.dumps({**whole, "strength": 2}),
        json.dumps({**whole, "offsets": [[0.1, 0.2, float("nan")]]}),
    ):
        (tmp_path / FILE).write_text(broken, "utf-8")
        with pytest.raises(CheckpointError, match=r"calibration.json is damaged: remove it"):
            load_calibration(tmp_path, ASPECTS)
