"""What the measurement of the guard counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from langgraph_cooper.nodes.crisis.course import Finding
from tests.benchmarks.crisis import TALKS, Talk, calls_before, talks_of, tiers_of


def read(text: str) -> Finding:
    """Take each message with an exclamation mark for a concern, and one with a comma for faint."""
    return Finding("concern" if "!" in text or "," in text else "none", faint="," in text)


@pytest.mark.parametrize(
    ("said", "before"),
    [
        ([(False, "Hello!"), (True, "It is late."), (True, "Too late!")], 1),
        ([(True, "Now!"), (True, "It is late.")], 0),
        ([(False, "Hello!"), (True, "It is late.")], None),
    ],
)
def test_alarms_at_other_messages_do_not_count(
    said: list[tuple[bool, str]], before: int | None
) -> None:
    tiers = tiers_of(read, [text for _, text in said], patient=False)
    assert calls_before(tiers, Talk("suicide", "crisis", said)) == before


def test_a_patient_guard_waits_for_a_second_hint() -> None:
    said = ["Well, late.", "Late.", "Late.", "Well, now.", "Late.", "Late!"]
    patient = tiers_of(read, said, patient=True)
    assert [tier != "none" for tier in patient] == [False, False, False, True, False, True]
    assert tiers_of(read, said, patient=False)[0] == "concern"
    far = [*said[:3], "Late.", *said[3:4]]
    assert tiers_of(read, far, patient=True) == ["none"] * 5


def test_conversations_are_read(tmp_path: Path) -> None:
    lines = ["# crisis self_harm", "+\tIt is late.", "-\tHello.", "# harmless", "-\tAll well."]
    (tmp_path / "t01.tsv").write_text("\n".join(lines) + "\n")
    assert talks_of(tmp_path) == [
        Talk("self_harm", "crisis", [(True, "It is late."), (False, "Hello.")]),
        Talk("", "harmless", [(False, "All well.")]),
    ]
    found = talks_of(TALKS)
    assert len(found) == 128
    assert all(any(plus for plus, _ in talk.said) == bool(talk.kind) for talk in found)
