"""What the measurement of the guard counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from langgraph_cooper.nodes.crisis.course import Finding
from tests.benchmarks.crisis import TALKS, Talk, calls_before, talks_of


def read(text: str) -> Finding:
    """Take each message with an exclamation mark for a concern."""
    return Finding("concern" if "!" in text else "none")


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
    assert calls_before(read, Talk("suicide", said)) == before


def test_conversations_are_read(tmp_path: Path) -> None:
    lines = ["# crisis self_harm", "+\tIt is late.", "-\tHello.", "# harmless", "-\tAll well."]
    (tmp_path / "t01.tsv").write_text("\n".join(lines) + "\n")
    assert talks_of(tmp_path) == [
        Talk("self_harm", [(True, "It is late."), (False, "Hello.")]),
        Talk("", [(False, "All well.")]),
    ]
    found = talks_of(TALKS)
    assert len(found) == 128
    assert all(any(plus for plus, _ in talk.said) == bool(talk.kind) for talk in found)
