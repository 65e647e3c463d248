"""Conversations in a real PostgreSQL: one lock for all processes, and gone with its process."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langgraph_cooper.graph import (
    InputError,
    LockError,
    ModelError,
    PostgresLock,
    Turns,
    cooper_serde,
    create_cooper,
)
from tests.support.postgres import NoPostgresError, postgres
from tests.support.processes import COOPER, THREAD, forked, run
from tests.support.rankers import FakeRanker
from tests.support.scripted import ScriptedModel

psycopg = pytest.importorskip("psycopg", reason="the extra `postgres` is not installed")


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    try:
        with postgres() as conninfo:
            _set_up(conninfo)
            yield conninfo
    except NoPostgresError as reason:
        pytest.skip(str(reason))


def _set_up(conninfo: str) -> None:
    from langgraph.checkpoint.postgres import PostgresSaver

    with PostgresSaver.from_conn_string(conninfo) as saver:
        saver.setup()


@pytest.fixture
async def saver(database: str) -> AsyncIterator[Any]:
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

    async with AsyncPostgresSaver.from_conn_string(database, serde=cooper_serde()) as saver:
        yield saver
        for thread in (THREAD, "other"):
            await saver.adelete_thread(thread)


def connections(database: str) -> int:
    """How many hold an advisory lock."""
    with psycopg.connect(database) as connection:
        query = "SELECT count(DISTINCT pid) FROM pg_locks WHERE locktype = 'advisory'"
        return int(connection.execute(query).fetchone()[0])


def soon(otherwise: str, happens: Callable[[], bool]) -> None:
    """Waits for the server: it ends a connection after it has answered, in its own time."""
    until = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < until, otherwise
        time.sleep(0.02)


async def test_two_processes_lose_nothing(database: str, saver: Any) -> None:
    assert run("race", database, "locked", "2", "10") == {"failed": 0}
    graph = COOPER.compile(checkpointer=saver)
    state = (await graph.aget_state({"configurable": {"thread_id": THREAD}})).values
    ids = [m.id for m in state["messages"][::2]]
    assert sorted(ids) == sorted(f"{process}-{n}" for process in (0, 1) for n in range(10))
    assert all(isinstance(m, AIMessage) for m in state["messages"][1::2])
    for process in "01":
        assert [i for i in ids if i[0] == process] == [f"{process}-{n}" for n in range(10)]
    assert connections(database) == 0


async def test_a_turn_and_its_repetition(database: str, saver: Any) -> None:
    model = ScriptedModel()
    graph = create_cooper("esc", model=model, ranker=FakeRanker()).compile(checkpointer=saver)
    turns = Turns(graph, lock=PostgresLock(database))
    model.script = {"generator": ModelError("broken")}
    with pytest.raises(ModelError, match="broken"):
        await turns.asend(THREAD, HumanMessage("I lost my job.", id="m-1"))
    model.script = {}
    reply = await turns.asend(THREAD, HumanMessage("I lost my job.", id="m-1"))
    assert [m.type for m in reply.state["messages"]] == ["human", "ai"]
    assert len(model.asked("tracker")) == 3
    assert (await turns.asend(THREAD, HumanMessage("I lost my job.", id="m-1"))).repeated


async def test_old_checkpoints_go_and_the_conversation_stays(database: str, saver: Any) -> None:
    graph = COOPER.compile(checkpointer=saver)
    turns = Turns(graph, lock=PostgresLock(database))
    config: Any = {"configurable": {"thread_id": THREAD}}
    for number in range(3):
        await turns.asend(THREAD, f"I feel low, part {number}.")
        await turns.asend("other", f"I feel low, part {number}.")
    before = await graph.aget_state(config)
    rows = stored(database)
    assert await turns.aprune(THREAD, keep=2) > 20
    assert stored(database) < 0.7 * rows
    assert (await graph.aget_state(config)).values == before.values
    assert [len(s.values["messages"]) async for s in graph.aget_state_history(config)] == [6, 4]
    one = (await turns.asend(THREAD, "And now?")).state
    two = (await turns.asend("other", "And now?")).state
    assert [m.text for m in one["messages"]] == [m.text for m in two["messages"]]
    assert one["exploration"]["state"] == two["exploration"]["state"]


def stored(database: str) -> int:
    """How many rows all threads have."""
    with psycopg.connect(database) as connection:
        tables = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")
        counts = [connection.execute(f"SELECT count(*) FROM {t}").fetchone() for t in tables]
    return sum(int(row[0]) for row in counts)


def test_the_lock_is_the_databases(database: str) -> None:
    one, two = PostgresLock(database), PostgresLock(database)
    assert one.try_acquire("a")
    assert one.try_acquire("b")
    assert connections(database) == 1  # one connection for all of a process
    assert not one.try_acquire("a")
    assert not two.try_acquire("a")
    one.release("a")
    assert two.try_acquire("a")
    two.release("a")
    one.release("b")
    assert connections(database) == 0


def test_the_lock_goes_with_its_process(database: str) -> None:
    def die() -> None:
        assert PostgresLock(database).try_acquire("a")
        os.kill(os.getpid(), 9)

    assert forked(die)[0] == -9
    lock = PostgresLock(database)
    soon("the dead process still holds its lock", lambda: lock.try_acquire("a"))
    lock.release("a")


def test_a_lock_whose_connection_broke_is_given_back_and_told(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    lock = PostgresLock(database)
    assert lock.try_acquire("a")
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    soon("the connection does not end", lambda: connections(database) == 0)
    lock.release("a")
    assert "lock was lost" in caplog.text
    assert lock.try_acquire("a")
    lock.release("a")


def test_a_database_that_is_not_there() -> None:
    lock = PostgresLock("postgresql://anna:pass-word-1@127.0.0.1:9/none")
    with pytest.raises(LockError, match="cannot be used") as caught:
        lock.try_acquire("a")
    assert "pass-word-1" not in str(caught.value) + repr(lock)
    assert len(str(caught.value).splitlines()) == 1


async def test_a_lock_has_to_be_given(saver: Any) -> None:
    turns = Turns(COOPER.compile(checkpointer=saver))
    with pytest.raises(InputError, match=r"lock=PostgresLock\(conninfo\)"):
        await turns.asend(THREAD, "I lost my job.")
