"""A turn whose log cannot be written ends, and is answered when it can be again."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from langgraph_cooper.graph.server.records import Records
from tests.support.serving import Client

SAID = "I lost my job."


@pytest.mark.parametrize("last", [False, True], ids=["at once", "at its end"])
def test_a_turn_whose_log_cannot_be_written_ends(
    client: Client, monkeypatch: pytest.MonkeyPatch, last: bool
) -> None:
    log = Records.log

    async def full(self: Records, thread: str, turn: str, events: Any, ended: Any = None) -> None:
        if last and not ended:
            return await log(self, thread, turn, events, ended)
        raise sqlite3.OperationalError("database or disk is full")

    thread = client.thread()
    with monkeypatch.context() as patched:
        patched.setattr(Records, "log", full)
        failed = client.say(thread, SAID, "m-1")
        assert (failed["http"], failed["error"]["type"]) == (503, "store_unavailable")
        assert "cooper_turns_running 0.0" in client.http.get("/metrics").text
        stream = client.stream("POST", f"/threads/{thread}/turns", {"message": SAID})
        assert stream[-1]["error"]["type"] == "store_unavailable"
    assert client.say(thread, SAID, "m-1")["http"] == 200
