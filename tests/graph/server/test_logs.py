"""A turn whose log cannot be written ends, and is answered when it can be again; old logs go."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

import aiosqlite
import pytest

from langgraph_cooper.graph.server.records import Logged, Records, Thread
from langgraph_cooper.graph.server.sqlite import SqliteDatabase
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


async def test_old_events_are_forgotten_also_those_of_a_turn_that_a_crash_cut() -> None:
    async with aiosqlite.connect(":memory:", isolation_level=None) as connection:
        records = Records(SqliteDatabase(connection))
        await records.set_up()
        await records.add_thread(Thread("t", "anna", "esc", 0.0, 0.0, None))
        for turn, end in (("ended", ("completed", None)), ("cut", None)):
            await records.begin_turn("t", turn, SAID)
            await records.log("t", turn, [Logged(1, "{}")], end)
        await records.forget_events(time.time() - 60)
        assert [len(await records.events("t", turn, 0)) for turn in ("ended", "cut")] == [1, 1]
        await records.forget_events(time.time() + 60)
        assert [len(await records.events("t", turn, 0)) for turn in ("ended", "cut")] == [0, 0]
