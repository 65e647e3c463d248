"""`cooper evaluate examples`: conversations side by side."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.commands import Cooper
from tests.support.conversations import conversation, write_conversations


def test_the_first_problems_that_all_have_talked_about_stand_side_by_side(
    cooper: Cooper, tmp_path: Path
) -> None:
    file = write_conversations(
        tmp_path / "talks.jsonl",
        conversation("bank", "anna", "One.", "Two."),
        conversation("mine", "anna", "Only one."),
        conversation("bank", "ben", "One.", "A | B and <b>*C*</b>\nD"),
        conversation("mine", "ben", "First.", "Second."),
        conversation("bank", "ben", "One.", "Two.", manner="reserved"),
        conversation("mine", "ben", "First.", "Second.", manner="reserved"),
        conversation("bank", "carl", "One.", "Two."),
        conversation("mine", "carl", "First.", "Second."),
        conversation("bank", "dora", "One.", "Two."),
        conversation("mine", "dora", "1.", "2.", ended={"by": "fault", "how": "system: timeout"}),
    )
    shown = cooper("evaluate", "examples", file, "--rounds", "2, 1", "--limit", "1").out
    assert shown.startswith("### x (ben, cooperative)")  # with anna one of them has fewer rounds
    assert "carl" not in shown
    assert shown.index("round 1") < shown.index("round 2")
    assert r"| bank | What should I do? | A \| B and \<b\>\*C\*\</b\> D | exploration |" in shown
    assert "| mine | What should I do? | Second. | exploration |" in shown
    both = cooper("evaluate", "examples", file, "--rounds", "2", "--systems", "mine,bank,").out
    assert both.count("###") == 2  # ben in one manner, and carl: dora's talk ended in a fault
    assert both.index("| mine |") < both.index("| bank |")
    alone = cooper("evaluate", "examples", file, "--rounds", "2", "--systems", "bank").out
    assert alone.startswith("### x (anna,")


def test_a_systems_opening_is_shown_and_a_name_keeps_the_table_whole(
    cooper: Cooper, tmp_path: Path
) -> None:
    row = conversation("a|b", "anna", "One.")
    row["said"].insert(0, {"speaker": "system", "text": "Hi & welcome."})
    file = write_conversations(tmp_path / "talks.jsonl", row)
    shown = cooper("evaluate", "examples", file, "--rounds", "1").out
    assert r"| a\|b | Hi &amp; welcome. |" in shown
    assert r"| a\|b | What should I do? | One. | exploration |" in shown


def test_a_stopped_runs_file_tells_what_is_missing(cooper: Cooper, tmp_path: Path) -> None:
    rows = [conversation("bank", "anna", "One."), conversation("mine", "anna", "Two.")]
    file = write_conversations(tmp_path / "talks.jsonl", *rows)
    assert "planned" not in cooper("evaluate", "conversations", file).err
    first, rest = file.read_text("utf-8").split("\n", 1)
    planned = json.dumps({**json.loads(first), "planned": 7})
    file.write_text(f"{planned}\n{rest}", "utf-8")
    for command in ("conversations", "examples"):
        done = cooper("evaluate", command, file, *(["--rounds", "1"] * (command == "examples")))
        assert "2 of 7 planned conversations" in done.err


def test_what_cannot_be_shown_is_told(cooper: Cooper, tmp_path: Path) -> None:
    file = write_conversations(tmp_path / "talks.jsonl", conversation("bank", "anna", "One."))
    cooper("evaluate", "examples", file).fails("all of bank reached round 6")
    assert "name rounds from 1" in cooper("evaluate", "examples", file, "--rounds", "1,x").err
    assert "no conversation of 'x'" in cooper("evaluate", "examples", file, "--systems", "x").err
    cooper("evaluate", "examples", tmp_path / "no.jsonl").fails("there is no such file")
