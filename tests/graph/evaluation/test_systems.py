"""What talks with simulated users: how it is named, what a file keeps of it, how it fails."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from langgraph_cooper.graph.evaluation.interactive.systems import check_speakers, named_specs
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.data.dialogue import DataError
from tests.support.commands import Cooper
from tests.support.conversations import plays_user, talking, write_roles
from tests.support.openai_server import OpenAIServer, Reply


@pytest.fixture
def command(tmp_path: Path, endpoint: OpenAIServer) -> list[str | Path]:
    endpoint.reply = talking(system=lambda _: Reply("That sounds hard."))
    words = ["evaluate", "interactive", "--roles", write_roles(tmp_path), "--rounds", "2"]
    words += ["--manners", "cooperative", "--limit", "1", "--output", tmp_path / "talks.jsonl"]
    return words


def row_of(file: Path) -> dict[str, Any]:
    (row,) = [json.loads(line) for line in file.read_text("utf-8").splitlines()][1:]
    return dict(row)


def program(folder: Path, *lines: str) -> str:
    file = folder / "program.py"
    file.write_text("\n".join(("import sys", *lines)), "utf-8")
    return f"mine=command:{sys.executable} {file}"


def test_an_address_is_asked_with_its_password_and_kept_without(
    cooper: Cooper, command: list[str | Path], endpoint: OpenAIServer, tmp_path: Path
) -> None:
    url = endpoint.url.replace("//", "//anna:p@ss-word@")
    command += ["--user", f"endpoint:{url}#user", "--systems", f"endpoint:{url}#big"]
    assert cooper(*command).code == 0
    text = (tmp_path / "talks.jsonl").read_text("utf-8")
    assert "anna:" not in text
    assert "ss-word" not in text
    row = row_of(tmp_path / "talks.jsonl")
    assert row["system"] == f"endpoint:{endpoint.url}#big"
    assert row["identity"] == f"endpoint:{endpoint.url}#big big {endpoint.url} None"
    asked = next(request for request in endpoint.requests if not plays_user(request))
    assert asked.headers["authorization"] == f"Basic {base64.b64encode(b'anna:p@ss-word').decode()}"
    assert cooper("replay", tmp_path / "talks.jsonl").code == 0
    done = cooper(*command[:-1], "endpoint:http://anna:p@ss-word@host/v1")
    assert "ss-word" not in done.err


def test_the_last_words_of_a_program_are_told(
    cooper: Cooper, command: list[str | Path], tmp_path: Path
) -> None:
    loud = "for number in range(50_000): print('line', number, file=sys.stderr)"
    crash = "raise ValueError('no such model: café')"
    systems = program(tmp_path, loud, "print(sys.stdin.readline().strip(), flush=True)", crash)
    assert cooper(*command, "--user", "u", "--systems", systems).code == 1
    row = row_of(tmp_path / "talks.jsonl")
    assert row["said"][1]["text"] == "I feel awful."  # it does not wait for a reader of its errors
    told = row["ended"]["told"]
    assert row["ended"]["how"] == "system: cut"
    assert "ended in the middle of a conversation" in told or "cannot be talked with" in told
    assert told.endswith("ValueError: no such model: café")
    assert "line 49999 | Traceback" in told
    assert len(told) < 1_200
    assert "\n" not in told


def test_a_program_that_is_too_slow_has_last_words_too(
    cooper: Cooper, command: list[str | Path], tmp_path: Path
) -> None:
    systems = program(tmp_path, "print('loading', file=sys.stderr, flush=True)",
                      "sys.stdin.readline(); sys.stdin.readline()")  # fmt: skip
    assert cooper(*command, "--user", "u", "--systems", systems, "--deadline", "2").code == 1
    told = row_of(tmp_path / "talks.jsonl")["ended"]["told"]
    assert "no line in 2 seconds" in told
    assert told.endswith("its standard error ends with: loading")


def test_a_program_that_is_not_there_is_told_before_what_costs(
    cooper: Cooper, command: list[str | Path], endpoint: OpenAIServer, tmp_path: Path
) -> None:
    command += ["--user", "u", "--systems", "plain", "--model", "m"]
    command += ["--systems", "command:no-such-program-here --key x"]
    cooper(*command).fails("'no-such-program-here' cannot be run", "PATH")
    assert not endpoint.requests
    assert not (tmp_path / "talks.jsonl").exists()
    assert cooper(*command, "--dry-run").code == 0  # an estimate needs no program


def test_a_program_may_be_named_by_a_path(tmp_path: Path) -> None:
    file = tmp_path / "my bot"
    file.write_text("#!/bin/sh\ncat\n", "utf-8")
    spec = f"command:'{file}' --key x"
    with pytest.raises(DataError, match="not executable"):
        check_speakers([spec], load_task("esc"))
    file.chmod(0o700)
    check_speakers([spec], load_task("esc"))


@pytest.mark.parametrize(
    "given",
    ["bank,mine=command:./x", "bank,endpoint:http://anna:word@host/v1#m", "bank,command:./x"],
)
def test_endpoints_and_programs_have_an_option_of_their_own(given: str) -> None:
    with pytest.raises(DataError, match="--systems of its own; the option may be repeated") as told:
        named_specs([given])
    assert "anna" not in str(told.value)


def test_two_accounts_at_one_address_need_names() -> None:
    given = ["endpoint:http://a:b@host/v1#m", "endpoint:http://c:d@host/v1#m"]
    with pytest.raises(DataError, match="two systems are named 'endpoint:http://host/v1#m'"):
        named_specs(given)
    found = named_specs([f"one={given[0]}", f"two={given[1]}"])
    assert found == {"one": given[0], "two": given[1]}  # a request needs the password


def test_an_at_sign_in_a_models_name_is_no_password() -> None:
    (name,) = named_specs(["endpoint:http://host#model@2"])
    assert name == "endpoint:http://host#model@2"
