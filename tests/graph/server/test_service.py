"""What the server does beside its requests: it loads models and deletes what is old."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from langgraph_cooper.graph.server.metrics import Metrics
from langgraph_cooper.graph.server.records import Logged, Records
from langgraph_cooper.graph.server.runs import Runs
from langgraph_cooper.graph.server.settings import Settings
from tests.support.serving import Client, serving


def wait_for(found: Callable[[], bool]) -> None:
    """Wait until something is so."""
    until = time.monotonic() + 20
    while not found():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_models_that_cannot_be_loaded_are_told_and_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(graph: Any) -> None:
        raise MemoryError("no room for the encoder")

    monkeypatch.setattr("langgraph_cooper.graph.server.service.awarm_up", fail)
    with serving(tmp_path / "s.sqlite") as url, Client(url).http as http:
        wait_for(lambda: http.get("/ready").json()["error"]["type"] != "warming_up")
        answer = http.get("/ready")
    assert answer.status_code == 500
    assert answer.json()["error"]["message"].startswith("the models cannot be loaded")
    assert "no room for the encoder" not in answer.text
    assert "no room for the encoder" in caplog.text


def test_forty_turns_that_compute_keep_nobody_from_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    async def crowd(graph: Any) -> None:
        computing = [asyncio.create_task(asyncio.to_thread(over.wait)) for _ in range(40)]
        try:
            async with asyncio.timeout(10):
                await asyncio.to_thread(lambda: None)
        finally:
            over.set()
            await asyncio.gather(*computing)

    monkeypatch.setattr("langgraph_cooper.graph.server.service.awarm_up", crowd)
    with serving(tmp_path / "s.sqlite") as url, Client(url).http as http:
        wait_for(lambda: http.get("/ready").status_code != 503)
        assert http.get("/ready").status_code == 200


def test_old_events_that_cannot_be_deleted_are_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(self: Records, before: float) -> None:
        raise OSError("what somebody said")

    monkeypatch.setattr(Records, "forget_events", fail)
    with caplog.at_level(logging.WARNING), serving(tmp_path / "s.sqlite"):
        wait_for(lambda: "were not deleted (OSError)" in caplog.text)
    assert "what somebody said" not in caplog.text


class _Ended:
    """The records of turns that have ended, each with one event."""

    async def events(self, thread: str, turn: str, after: int, limit: int = 500) -> list[Logged]:
        return [Logged(1, "{}")] if after < 1 else []


async def test_nothing_is_left_of_readers_who_leave() -> None:
    runs, records, lock = Runs(Settings(), Metrics()), _Ended(), object()
    runs.open(records, lock)  # type: ignore[arg-type]
    for number in range(50):
        async with aclosing(runs.follow("thread", f"turn-{number}")) as log:  # type: ignore[type-var]
            assert (await anext(log)).number == 1
    gc.collect()
    assert not runs._news
