"""What the exit code of a run that asks models tells a script: whether anything came of it."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from tests.support.commands import Cooper
from tests.support.conversations import conversation, talking, write_conversations, write_roles
from tests.support.openai_server import OpenAIServer, Reply


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_run_whose_conversations_all_ended_in_a_fault_fails_after_its_summary(
    cooper: Cooper, endpoint: OpenAIServer, tmp_path: Path, form: list[str]
) -> None:
    command = ["evaluate", "interactive", "--roles", write_roles(tmp_path), "--user", "u"]
    command += ["--rounds", "1", "--manners", "reserved", "--output", tmp_path / "talks.jsonl"]
    command += ["--model", "m", "--max-calls", "1", *form]
    endpoint.reply = talking(system=lambda _: Reply(status=500))
    failed = cooper(*command, "--systems", "plain")
    assert (failed.code, "fault: system: server" in failed.out) == (1, True)
    assert cooper(*command, "--systems", "plain", "--dry-run").code == 0
    assert cooper(*command, "--systems", "plain,bank").code == 0  # the bank's are results
    endpoint.reply = talking()
    assert cooper(*command, "--systems", "plain").code == 0


@pytest.mark.parametrize("calibrate", [False, True])
def test_a_judge_that_left_questions_unasked_fails_after_its_report(
    cooper: Cooper, endpoint: OpenAIServer, tmp_path: Path, calibrate: bool
) -> None:
    command = ["evaluate", "judge", "--model", "m", "--max-calls", "1"]
    if calibrate:
        said = [{"speaker": "user", "text": "I feel low."}, {"speaker": "system", "text": "Hm."}]
        row = {"id": "a", "dimension": "empathy", "first": said, "second": said, "ratings": ["tie"]}
        (tmp_path / "ratings.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
        command += ["--calibrate", tmp_path / "ratings.jsonl"]
    else:
        rows = (conversation(system, "anna", "Hm.") for system in ("one", "other"))
        command += [write_conversations(tmp_path / "talks.jsonl", *rows)]

    count = itertools.count()
    endpoint.reply = lambda _: Reply("tie") if next(count) else Reply(status=500)
    failed = cooper(*command, "--json")
    assert "did not answer 1 question" in failed.err
    assert (failed.code, json.loads(failed.out)["judge"]) == (1, "m")
    assert cooper(*command, "--json").code == 0
