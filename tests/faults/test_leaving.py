"""Clients that leave in mid-turn, as anyio cancels them under FastAPI and Starlette."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest
from langchain_core.messages import HumanMessage

from langgraph_cooper.graph import Turns
from langgraph_cooper.graph.threads.leaving import LockRequest
from tests.benchmarks.leaving import leave, opened
from tests.support.postgres import NoPostgresError, postgres

DROPS = 10


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    try:
        with postgres() as conninfo:
            yield conninfo
    except NoPostgresError as reason:
        pytest.skip(str(reason))


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def turns(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Turns]:
    place = str(tmp_path / "talks.sqlite")
    if request.param == "postgres":
        pytest.importorskip("langgraph.checkpoint.postgres.aio")
        place = request.getfixturevalue("database")
    async with opened(request.param, place) as turns:
        yield turns


@pytest.mark.parametrize("how", ["asend", "astream", "unclosed astream"])
async def test_no_thread_stays_locked_and_nothing_stored_is_lost(turns: Turns, how: str) -> None:
    moments, began = random.Random(how), time.perf_counter()
    await turns.asend("whole", "Hello.")
    longest, stored = time.perf_counter() - began, 0
    for number in range(DROPS):
        thread = f"{how}-{number}"
        said = HumanMessage("It was last week.", id="left")
        taken = await leave(turns, how, thread, said, moments.uniform(0, longest))
        state = (await turns.asend(thread, HumanMessage("Are you there?", id="next"))).state
        ids = [message.id for message in state["messages"] if message.type == "human"]
        assert ids == ["left"] * taken + ["next"]
        assert [message.type for message in state["messages"]] == ["human", "ai"] * len(ids)
        stored += len(ids) - 1
    assert stored  # some left after their message was stored


async def test_a_crowd_that_leaves_while_it_waits(turns: Turns) -> None:
    async with turns.aholding("anna"), anyio.create_task_group() as crowd:
        for number in range(DROPS):
            said = HumanMessage("Hello?", id=f"left-{number}")
            crowd.start_soon(leave, turns, "asend", "anna", said, 0.01 * (number % 4))
    state = (await turns.asend("anna", HumanMessage("Are you there?", id="next"))).state
    assert [message.id for message in state["messages"] if message.type == "human"] == ["next"]


class Held:
    """A lock that counts who holds it."""

    def __init__(self) -> None:
        self.holders = 0

    def try_acquire(self, _thread: str) -> bool:
        self.holders += 1
        return True

    def release(self, _thread: str) -> None:
        self.holders -= 1


def test_a_request_that_is_abandoned_holds_nothing() -> None:
    lock = Held()
    late, early = LockRequest(lock, "anna"), LockRequest(lock, "anna")
    assert late.run()
    late.abandon()
    assert lock.holders == 0
    early.abandon()
    assert not early.run()
    assert lock.holders == 0
