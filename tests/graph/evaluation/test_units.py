"""Tests and intervals take a conversation's messages together: they are not independent."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest

from langgraph_cooper.graph.evaluation.judging.judge import Verdict
from langgraph_cooper.graph.evaluation.judging.ratings import Rated, RatedUtterance
from langgraph_cooper.graph.evaluation.judging.trust import (
    calibrating_matters,
    calibration_report,
)
from langgraph_cooper.prompts import load_task
from tests.benchmarks import pairs, replies
from tests.benchmarks.replies import interval_by_unit


def test_an_interval_over_units_is_wider_than_over_their_results() -> None:
    # Ten conversations of twenty equal messages hold ten results' worth of evidence.
    held = [(str(unit), unit % 2 == 0) for unit in range(10) for _ in range(20)]
    apart = [(str(number), held) for number, (_, held) in enumerate(held)]
    low, high = interval_by_unit(held)
    assert max(low, 1 - high) < 0.25
    assert min(interval_by_unit(apart)[0], 1 - interval_by_unit(apart)[1]) > 0.4


def test_an_interval_of_few_units_is_not_too_narrow() -> None:
    assert interval_by_unit([("1", True), ("1", False)]) == (0.0, 1.0)  # tells nothing of others
    held = [(str(unit), place < 5 + unit) for unit in range(4) for place in range(10)]
    # Residuals -1.5, -.5, .5 and 1.5 of 40: .65 -+ 3.1824 sqrt(5 * 4 / 3) / 40.
    assert interval_by_unit(held) == pytest.approx((0.4446, 0.8554), abs=1e-4)
    assert interval_by_unit([(unit, True) for unit in "aabc"]) == (
        pytest.approx(0.2924, abs=1e-4),
        1,
    )
    assert interval_by_unit([(unit, False) for unit in "ab"]) == (
        0,
        pytest.approx(0.8419, abs=1e-4),
    )


def test_replies_are_counted_by_conversation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("old", "new"):
        rows = [
            {"conversation": number, "task": "esc", "said": f"{number} {turn}", "reply": name}
            for number in range(2)
            for turn in range(10)
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    sheet, labels = tmp_path / "sheet.txt", tmp_path / "labels.txt"
    replies.sheet([tmp_path / "old.jsonl", tmp_path / "new.jsonl"], sheet, 1)
    key = json.loads(sheet.with_suffix(".key.json").read_text())
    judged = [f"{number} {int(entry['system'] == 'new')}" for number, entry in enumerate(key)]
    labels.write_text("\n".join(judged))
    replies.count(sheet, labels)
    said = capsys.readouterr().out
    assert "only new 20, only old 0; by conversation 2 to 0: exact sign test p = 0.5" in said


def test_contexts_are_counted_by_conversation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = {"names": ["bank", "other"], "from": "data", "task": "esc", "equal": False}
    key = [{**entry, "conversation": f"talk-{number % 3}"} for number in range(30)]
    sheet, labels = tmp_path / "sheet.txt", tmp_path / "labels.txt"
    sheet.with_suffix(".key.json").write_text(json.dumps(key))
    labels.write_text("\n".join(f"{number} A" for number in range(30)))
    pairs.count(Namespace(sheet=sheet, labels=[labels]))
    said = capsys.readouterr().out
    assert "bank 30, other 0, ties 0, equal 0; by conversation 3 to 0: sign test p = 0.25" in said
    sheet.with_suffix(".key.json").write_text(json.dumps([entry] * 30))
    with pytest.raises(SystemExit, match="names no conversations"):
        pairs.count(Namespace(sheet=sheet, labels=[labels]))


class Agreeing:
    """A judge who prefers the first conversation, or whatever stands first."""

    def __init__(self, *choices: str) -> None:
        self._choices = choices

    def verdict(self, _: object) -> Verdict:
        return Verdict(*self._choices)


@pytest.mark.parametrize(("unit", "p"), [("one role", 1.0), ("", 0.001953)])
def test_a_judge_is_calibrated_by_role(unit: str, p: float) -> None:
    said = (RatedUtterance(speaker="user", text="Hello."),)
    rated = [
        Rated(
            id=str(number), dimension="empathy", first=said, second=said, ratings=("first",),
            unit=unit,
        )
        for number in range(10)
    ]  # fmt: skip
    matters = calibrating_matters(rated, load_task("esc"))
    found = calibration_report(rated, matters, Agreeing("first", "second"))  # type: ignore[arg-type]
    assert found["dimensions"]["empathy"]["p"] == p
    # Places are swapped within a pair: pairs of one role tell a judge that goes by the place.
    found = calibration_report(rated, matters, Agreeing("first", "first"))  # type: ignore[arg-type]
    assert found["position"]["pairs_first"] == 10
    assert found["by_place"]
