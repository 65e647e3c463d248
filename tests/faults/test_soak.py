"""A small soak; a turn that is lost would be noticed. The whole is `tests.benchmarks.soak`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage

from tests.benchmarks import soak

SAID = soak.said_in(7, 3)
SMALL = ["--conversations", "6", "--turns", "3", "--timeout", "1", "--faults", "0.2", "--json"]


def answered(*users: BaseMessage) -> list[BaseMessage]:
    return [message for said in users for message in (said, AIMessage("I see."))]


def test_no_turn_is_lost(capsys: pytest.CaptureFixture[str], quick_retries: None) -> None:
    assert soak.main(SMALL) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["turns"] == 18
    assert found["lost"] == 0
    assert found["calls"] >= 18 * 7
    assert 0.1 < found["calls spoilt"] / found["calls"] < 0.3
    # Withheld answers and bodies that are none are not asked for again: something stood in.
    assert found["turns in which something stood in"] > 0
    assert found["turns sent again"] == 0


def test_a_lost_turn_is_the_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = soak.Result(lost=["talk 3: 3-1 has no answer"], memory=[(0, 1), (1, 1)])
    monkeypatch.setattr(soak, "soak", lambda _: lost)
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
