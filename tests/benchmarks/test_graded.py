"""The graded replies still belong to what the tasks say and to the trial conversations."""

from __future__ import annotations

from langgraph_cooper.prompts import load_task
from tests.benchmarks.graded import digest, read_grades, sentences, trial_messages

TRIALS = ("development", "held_out", "questions", "neighbours")


def test_nearly_all_graded_replies_can_still_be_said() -> None:
    known = {
        name: {digest(text) for text in sentences(load_task(name))}
        for name in ("esc", "persuasion")
    }
    found = [
        reply in known[row["task"]] for row in read_grades() for reply in row["replies"].split()
    ]
    assert len(found) > 20_000
    assert sum(found) > 0.9 * len(found), "the bank has changed: let readers grade it anew"


def test_the_graded_messages_of_the_trial_files_are_there() -> None:
    found = {
        (source, dialogue, digest(said))
        for source in TRIALS
        for dialogue, said in trial_messages(source)
    }
    rows = [row for row in read_grades() if row["source"] in TRIALS]
    assert len(rows) > 1_600
    assert all((row["source"], row["dialogue"], row["message"]) in found for row in rows)
    assert all(len(row["grades"]) == len(row["replies"].split()) for row in read_grades())
