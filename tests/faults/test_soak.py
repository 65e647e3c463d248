"""A small soak; a turn that is lost would be noticed. The whole is `make soak`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage

from tests.benchmarks.soak import __main__ as soak
from tests.benchmarks.soak.worker import said_in

SAID = said_in(7, 3)
SMALL = ["--conversations", "4", "--turns", "3", "--timeout", "1", "--faults", "0.2", "--json"]
SMALL += ["--kills", "1", "--drops", "0.3", "--postgres", "none", "--guard", "phrases"]


def answered(*users: BaseMessage) -> list[BaseMessage]:
    return [message for said in users for message in (said, AIMessage("I see."))]


def test_no_turn_is_lost_and_a_run_is_gone_on_with(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert soak.main([*SMALL, "--folder", str(tmp_path)]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["turns"] == 12
    assert found["lost"] == 0
    assert found["kills"] == 1
    assert found["calls spoilt"] > 0
    assert found["  because its client left"] > 0
    assert found["turns of the process that was not killed"] == 9
    again = [*SMALL, "--turns", "4", "--kills", "0", "--folder", str(tmp_path)]
    assert soak.main(again) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["lost"] == 0
    assert found["turns of the process that was not killed"] == 4  # the new ones


def test_a_lost_turn_is_the_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = soak.Result(lost=["talk 3: 3-1 has no answer"], memory=[(0, 1), (1, 1)])
    monkeypatch.setattr(soak, "soak", lambda *_: lost)
    assert soak.main(["--json"]) == 1
    assert "3-1 has no answer" in capsys.readouterr().err


def test_a_whole_thread_has_lost_nothing() -> None:
    assert soak.lost_turns(7, SAID, answered(*SAID)) == []


@pytest.mark.parametrize(
    ("kept", "wrong"),
    [
        ([], "7-0 stands there 0 times"),
        (answered(SAID[0], SAID[2]), "7-1 stands there 0 times"),
        (answered(*SAID, SAID[2]), "7-2 stands there 2 times"),
        (answered(SAID[0], SAID[2], SAID[1]), "out of order"),
        (answered(*SAID)[:-1], "7-2 has no answer"),
        ([SAID[0], *answered(*SAID[1:])], "7-0 has no answer"),
        ([*answered(*SAID)[:-1], AIMessage(" ")], "7-2 has no answer"),
        ([*answered(*SAID), AIMessage("I see.")], "7 messages for 3 turns"),
    ],
)
def test_a_lost_turn_is_noticed(kept: list[BaseMessage], wrong: str) -> None:
    assert any(wrong in line for line in soak.lost_turns(7, SAID, kept))


def test_the_slope_of_memory_leaves_the_warm_up_out() -> None:
    warm = [(0, 0), (1, 900)]
    assert soak.slope([*warm, *((n, 1000 + 3 * n) for n in range(3, 13))]) == pytest.approx(3)
    assert soak.slope([*warm, *((n, 1000) for n in range(3, 13))]) == 0
