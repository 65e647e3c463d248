"""Clients that leave in mid-turn, as anyio cancels them under FastAPI and Starlette."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from langgraph_cooper.graph import PostgresLock, Turns, cooper_serde, create_cooper
from langgraph_cooper.graph.threads.leaving import LockRequest
from tests.support.postgres import NoPostgresError, postgres
from tests.support.rankers import FakeRanker

DROPS = 16


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    try:
        with postgres() as conninfo:
            yield conninfo
    except NoPostgresError as reason:
        pytest.skip(str(reason))


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def turns(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Turns]:
    graph = create_cooper("esc", ranker=FakeRanker())
    async with AsyncExitStack() as stack:
        lock, saver = None, InMemorySaver()
        if request.param == "sqlite":
            opened: Any = AsyncSqliteSaver.from_conn_string(str(tmp_path / "talks.sqlite"))
            saver = await stack.enter_async_context(opened)
        elif request.param == "postgres":
            aio = pytest.importorskip("langgraph.checkpoint.postgres.aio")
            conninfo = request.getfixturevalue("database")
            saver = aio.AsyncPostgresSaver(
                await stack.enter_async_context(_pool(conninfo)), serde=cooper_serde()
            )
            await saver.setup()
            lock = PostgresLock(conninfo)
        yield Turns(graph.compile(checkpointer=saver), lock=lock, wait=10)


def _pool(conninfo: str) -> Any:
    """Return a pool that replaces connections: psycopg closes one whose query is cancelled."""
    import psycopg_pool
    from psycopg.rows import dict_row

    return psycopg_pool.AsyncConnectionPool(
        conninfo,
        kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
        check=psycopg_pool.AsyncConnectionPool.check_connection,
        open=False,
    )


async def leave(turns: Turns, how: str, thread: str, message: HumanMessage, after: float) -> None:
    """Begin a turn, and leave `after` so many seconds."""
    with anyio.move_on_after(after):
        if how == "asend":
            await turns.asend(thread, message)
        elif how == "astream":
            async with aclosing(turns.astream(thread, message)) as parts:
                async for _ in parts:
                    pass
        else:  # the generator is left to the garbage collector
            async for _ in turns.astream(thread, message):
                pass


@pytest.mark.parametrize("how", ["asend", "astream", "unclosed astream"])
async def test_no_thread_stays_locked_and_nothing_stored_is_lost(turns: Turns, how: str) -> None:
    moments, began = random.Random(how), time.perf_counter()
    await turns.asend("whole", "Hello.")
    longest, stored = time.perf_counter() - began, 0
    for number in range(DROPS):
        thread = f"{how}-{number}"
        said = HumanMessage("It was last week.", id="left")
        await leave(turns, how, thread, said, moments.uniform(0, longest))
        state = (await turns.asend(thread, HumanMessage("Are you there?", id="next"))).state
        ids = [message.id for message in state["messages"] if message.type == "human"]
        assert ids in (["left", "next"], ["next"])
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
