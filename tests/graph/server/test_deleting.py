"""A deleted thread leaves nothing: no row that is written late, no byte in a file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph.server.errors import ApiError
from langgraph_cooper.graph.server.owners import nobody_is_asked
from langgraph_cooper.graph.server.records import Records
from langgraph_cooper.graph.server.savers import WholeWrites
from langgraph_cooper.graph.server.service import Service
from langgraph_cooper.graph.server.settings import Limits
from tests.support.scripted import ScriptedModel
from tests.support.serving import Client, events, offers, serving

TABLES = ("checkpoints", "writes", "cooper_threads", "cooper_turns", "cooper_events")
WORD = "quillwort"


def rows(store: Path) -> dict[str, int]:
    """Return the rows of each table."""
    with closing(sqlite3.connect(store)) as database:
        count = "SELECT count(*) FROM "
        return {name: database.execute(count + name).fetchone()[0] for name in TABLES}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deleting") / "talks.sqlite"


@pytest.fixture(scope="module")
def client(store: Path) -> Iterator[Client]:
    model = ScriptedModel(delays={"generator": 5.0})
    with serving(store, offers(model=model), limits=Limits(rate=10_000, grace=0.2)) as url:
        client = Client(url)
        yield client
        client.http.close()


@pytest.mark.parametrize("place", [1, 2, 5, 9])
def test_a_thread_deleted_in_mid_turn_leaves_no_row(
    client: Client, store: Path, place: int
) -> None:
    thread = client.thread()
    body = {"message": f"I lost my {WORD}.", "message_id": "m-1"}
    with client.http.stream("POST", f"/threads/{thread}/turns", json=body) as answer:
        stream = events(answer)
        for _ in range(place):
            next(stream)
        assert client.http.delete(f"/threads/{thread}").status_code == 204
        assert [*stream][-1]["status"] == "stopped"
    assert not any(rows(store).values())


def test_a_deleted_thread_leaves_no_byte(tmp_path: Path) -> None:
    store = tmp_path / "s.sqlite"
    files = store, store.with_name(f"{store.name}-wal")

    def found() -> int:
        return sum(file.read_bytes().count(WORD.encode()) for file in files)

    with serving(store, offers("esc"), limits=Limits(grace=0.2)) as url:
        client = Client(url)
        thread = client.thread()
        client.say(thread, f"I lost my {WORD}.")
        client.say(thread, f"It was the {WORD} of my mother.")
        assert found()
        client.http.delete(f"/threads/{thread}")
        assert found() == 0
        client.http.close()


async def test_a_turn_that_waited_while_its_thread_was_deleted_stores_nothing(
    tmp_path: Path,
) -> None:
    store = tmp_path / "s.sqlite"
    service = Service(offers("esc"), str(store), nobody_is_asked)
    async with service.open():
        thread = await service.new_thread("anna", "esc")
        async with service.task("esc").turns.aholding(thread.id):
            waiting = await service.take(thread, HumanMessage("I lost my job.", id="m-1"))
            await asyncio.sleep(0)
            await service.records.delete_thread(thread.id)
        with pytest.raises(ApiError, match="no such thread"):
            [_ async for _ in service.events(waiting)]
        assert not any(rows(store).values())


async def test_a_copy_that_fails_leaves_nothing(tmp_path: Path) -> None:
    store = tmp_path / "s.sqlite"
    service = Service(offers("esc"), str(store), nobody_is_asked)

    async def failing(task: object, to: str) -> None:
        raise RuntimeError("no copy")

    async with service.open():
        thread = await service.new_thread("anna", "esc")
        with pytest.raises(RuntimeError, match="no copy"):
            await service.copied(thread, failing)
        assert [t.id for t in await service.records.threads("anna", 9, 0)] == [thread.id]


class Slow(InMemorySaver):
    """Writes when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []
        self.asked, self.allowed = asyncio.Event(), asyncio.Event()

    async def aput_writes(self, config: RunnableConfig, *given: object) -> None:  # type: ignore[override]
        """Write the thread's name."""
        self.asked.set()
        await self.allowed.wait()
        self.written.append(config["configurable"]["thread_id"])


class SlowWhole(WholeWrites, Slow):
    """The same with whole writes."""


async def test_a_write_is_whole_and_awaited_though_its_caller_is_cancelled() -> None:
    saver = SlowWhole()
    config: RunnableConfig = {"configurable": {"thread_id": "anna"}}
    writing = asyncio.create_task(saver.aput_writes(config, [], "task"))
    await saver.asked.wait()
    writing.cancel()
    await asyncio.wait([writing])
    assert writing.cancelled()
    await saver.settled("berta")  # another thread does not wait
    settled = asyncio.create_task(saver.settled("anna"))
    await asyncio.sleep(0)
    assert not settled.done()
    saver.allowed.set()
    await settled
    assert saver.written == ["anna"]


async def test_a_cancelled_write_leaves_no_transaction_open(tmp_path: Path) -> None:
    service = Service(offers("esc"), str(tmp_path / "s.sqlite"), nobody_is_asked)
    async with service.open():
        records: Records = service.records
        thread = await service.new_thread("anna", "esc")
        for ticks in range(12):  # cut at each await
            writing = asyncio.create_task(records.begin_turn(thread.id, "t" * 12, ""))
            for _ in range(ticks):
                await asyncio.sleep(0)
            writing.cancel()
            await asyncio.wait([writing])
        assert await records.begin_turn(thread.id, "t" * 12, "") == 0
