"""Turns of one thread, sent by several at once, by clients that leave, and by ones that repeat."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatResult
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph.state import CompiledStateGraph
from pydantic import PrivateAttr

from langgraph_cooper.graph import (
    InputError,
    Reply,
    ThreadBusyError,
    Turns,
    cooper_serde,
    create_cooper,
)
from langgraph_cooper.graph.threads.locks import FileLock, ProcessLock
from langgraph_cooper.graph.threads.queues import FairLock
from tests.support.processes import THREAD, run, texts
from tests.support.rankers import FakeRanker
from tests.support.roles import recognise
from tests.support.scripted import ScriptedModel

Graph = CompiledStateGraph[Any, Any, Any, Any]
SAID = "I lost my job."
ANSWER = "I hear you, and I am glad you told me."


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
def graph(model: ScriptedModel) -> Graph:
    return cooper(InMemorySaver(), model)


def cooper(saver: Any, model: ScriptedModel | None = None) -> Graph:
    return create_cooper("esc", model=model, ranker=FakeRanker()).compile(checkpointer=saver)


def said(text: str = SAID, id: str = "m-1") -> HumanMessage:
    return HumanMessage(text, id=id)


def in_order(state: Any, count: int) -> None:
    """Every message once, each with its answer behind it."""
    assert [m.id for m in state["messages"][::2]] == [f"m-{n}" for n in range(count)]
    assert all(isinstance(m, AIMessage) for m in state["messages"][1::2])
    assert len(state["messages"]) == 2 * count


# -------------------------------------------------------------- at once


async def send_many(turns: Turns, count: int) -> Reply:
    replies = await asyncio.gather(
        *(turns.asend(THREAD, said(f"I feel low, part {n}.", f"m-{n}")) for n in range(count))
    )
    assert not any(reply.repeated for reply in replies)
    return replies[-1]


async def test_twenty_turns_at_once_are_all_kept_in_order(graph: Graph) -> None:
    turns = Turns(graph)
    in_order((await send_many(turns, 20)).state, 20)
    assert not turns._async_queues._queues  # nothing stays behind for a thread


async def test_without_a_lock_langgraph_loses_them(graph: Graph) -> None:
    config: Any = {"configurable": {"thread_id": THREAD}}
    await asyncio.gather(
        *(graph.ainvoke({"messages": [said(id=f"m-{n}")]}, config) for n in range(5))
    )
    assert len((await graph.aget_state(config)).values["messages"]) < 10


async def test_several_on_sqlite(tmp_path: Path) -> None:
    async with aiosqlite.connect(tmp_path / "talks.sqlite") as connection:
        turns = Turns(cooper(AsyncSqliteSaver(connection)))
        in_order((await send_many(turns, 6)).state, 6)
    assert list((tmp_path / "talks.sqlite-turns").iterdir()) == []


def test_sync_turns_at_once(graph: Graph) -> None:
    turns = Turns(graph)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: turns.send(THREAD, said(id=f"m-{n}")), range(20)))
    messages = turns.send(THREAD, None).state["messages"]
    assert sorted(m.id for m in messages[::2]) == sorted(f"m-{n}" for n in range(20))
    assert all(isinstance(m, AIMessage) for m in messages[1::2])
    assert not turns._sync_queues._queues


async def test_sync_and_async_and_several_helpers_share_a_thread(graph: Graph) -> None:
    one, two = Turns(graph), Turns(graph)
    await asyncio.gather(
        *(one.asend(THREAD, said(id=f"a-{n}")) for n in range(4)),
        *(asyncio.to_thread(two.send, THREAD, said(id=f"b-{n}")) for n in range(4)),
    )
    assert len((await one.asend(THREAD, None)).state["messages"]) == 16


class Meeting(ScriptedModel):
    """Its trackers answer once those of six threads have been asked."""

    _there: set[str] = PrivateAttr(default_factory=set)
    _all_there: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)

    async def _agenerate(self, messages: list[BaseMessage], *args: Any, **more: Any) -> ChatResult:
        if recognise(messages[0].text).role == "tracker":
            self._there.update(re.findall(r"thread \d", messages[1].text))
            if len(self._there) == 6:
                self._all_there.set()
            await self._all_there.wait()
        return await super()._agenerate(messages, *args, **more)


async def test_threads_do_not_wait_for_one_another() -> None:
    turns = Turns(cooper(InMemorySaver(), Meeting()))
    replies = await asyncio.gather(
        *(turns.asend(f"thread-{n}", f"I am thread {n}.") for n in range(6))
    )
    for reply in replies:  # nobody was given up on
        assert reply.state["exploration"]["state"] == "What is known about exploration."
        assert reply.state["exploration"]["faults"] == []


@pytest.mark.parametrize("locked", ["locked", "unlocked"])
def test_two_processes_on_one_sqlite_file(tmp_path: Path, locked: str) -> None:
    file = tmp_path / "talks.sqlite"
    kept = race(str(file), locked, lambda: sqlite_state(file))
    if locked == "unlocked":
        assert len(kept) < 40  # what the lock is for
        return
    assert sorted(m.id for m in kept[::2]) == sorted(f"{p}-{n}" for p in (0, 1) for n in range(10))
    assert all(isinstance(m, AIMessage) for m in kept[1::2])
    for process in "01":  # each one's own stay in their order
        own = [int(m.id[2:]) for m in kept[::2] if m.id.startswith(process)]
        assert own == list(range(10))


def race(store: str, locked: str, state: Callable[[], Any]) -> list[Any]:
    """What two processes that send ten messages each at once leave in a thread."""
    done = run("race", store, locked, "2", "10")
    assert done == {"failed": 0} or locked == "unlocked"
    kept: list[Any] = state()["messages"]
    return kept


def sqlite_state(file: Path) -> Any:
    connection = sqlite3.connect(file)
    try:
        config: Any = {"configurable": {"thread_id": THREAD}}
        return cooper(SqliteSaver(connection, serde=cooper_serde())).get_state(config).values
    finally:
        connection.close()


# -------------------------------------------------------------- waiting


async def test_who_waits_too_long_is_told(graph: Graph, model: ScriptedModel) -> None:
    turns = Turns(graph, wait=0.5)
    async with turns.aholding(THREAD):
        with pytest.raises(ThreadBusyError, match=r"'anna' was busy .* 0\.5 seconds; send"):
            await turns.asend(THREAD, said())
        with pytest.raises(ThreadBusyError):
            await asyncio.to_thread(turns.send, THREAD, said())
    assert not model.calls
    assert (await turns.asend(THREAD, said())).text == ANSWER


class SlowLock(ProcessLock):
    """A lock whose answer takes a while, such as a database's."""

    def try_acquire(self, thread_id: str) -> bool:
        time.sleep(0.05)
        return super().try_acquire(thread_id)


@pytest.mark.parametrize("wait", [0, 0.001])
async def test_a_free_thread_is_not_called_busy_however_short_the_wait(
    graph: Graph, wait: float
) -> None:
    turns = Turns(graph, lock=SlowLock(InMemorySaver()), wait=wait)
    assert (await turns.asend(THREAD, said())).text == ANSWER
    assert (await asyncio.to_thread(turns.send, "bob", said())).text == ANSWER
    async with turns.aholding(THREAD):
        for sending in (turns.asend(THREAD, said()), asyncio.to_thread(turns.send, THREAD, said())):
            with pytest.raises(ThreadBusyError):
                await sending


@pytest.mark.parametrize("kind", ["process", "file"])
def test_a_lock_is_one_holders(kind: str, tmp_path: Path) -> None:
    saver = InMemorySaver()
    one, two = (
        ProcessLock(saver) if kind == "process" else FileLock(tmp_path / "locks") for _ in "12"
    )
    for _ in range(3):
        assert one.try_acquire("a")
        assert not one.try_acquire("a")
        assert not two.try_acquire("a")
        assert two.try_acquire("b")
        one.release("a")
        assert two.try_acquire("a")
        two.release("a")
        two.release("b")


def test_a_file_lock_holds_while_its_file_comes_and_goes(tmp_path: Path) -> None:
    inside, most, guard = 0, 0, threading.Lock()

    def work(_: int) -> None:
        nonlocal inside, most
        lock = FileLock(tmp_path / "locks")
        for _ in range(40):
            while not lock.try_acquire("a"):
                pass
            with guard:
                inside += 1
                most = max(most, inside)
            with guard:
                inside -= 1
            lock.release("a")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert most == 1


# -------------------------------------------------------------- repeating


def test_a_message_sent_again_gets_its_own_answer(graph: Graph, model: ScriptedModel) -> None:
    turns = Turns(graph)
    model.script = {"generator": "The first answer."}
    first = turns.send(THREAD, said())
    model.script = {"generator": "The second answer."}
    turns.send(THREAD, said("It was last week.", "m-2"))
    calls = len(model.calls)
    again = turns.send(THREAD, said())
    assert (first.text, first.repeated) == ("The first answer.", False)
    assert (again.text, again.repeated) == ("The first answer.", True)
    assert len(again.state["messages"]) == 4
    assert len(model.calls) == calls


async def test_in_a_stream_too(graph: Graph, model: ScriptedModel) -> None:
    turns = Turns(graph)
    modes = ["messages", "values"]
    first = [part async for part in turns.astream(THREAD, said(), stream_mode=modes)]
    calls = len(model.calls)
    again = [part async for part in turns.astream(THREAD, said(), stream_mode=modes)]
    assert spoken(first) == spoken(again) == ANSWER
    assert texts(again[-1]["data"]) == texts(first[-1]["data"]) == [SAID, ANSWER]
    assert spoken(turns.stream(THREAD, said())) == ANSWER
    assert len(model.calls) == calls


def spoken(parts: Any) -> str:
    said = [part["data"][0] for part in parts if part["type"] == "messages"]
    return "".join(message.text for message in said if isinstance(message, AIMessage))


def test_an_id_stands_for_one_message(graph: Graph) -> None:
    turns = Turns(graph)
    answer = turns.send(THREAD, said()).message
    with pytest.raises(InputError, match="'m-1' stands for another message"):
        turns.send(THREAD, said("Something else."))
    assert answer
    with pytest.raises(InputError, match="stands for another"):
        turns.send(THREAD, said(id=str(answer.id)))
    assert texts(turns.send(THREAD, None).state) == [SAID, ANSWER]


def test_what_cannot_be_answered_is_not_kept(graph: Graph) -> None:
    turns = Turns(graph)
    for wrong in ("", "  ", "a" * 8_001, AIMessage("I am you."), 7):
        with pytest.raises(InputError):
            turns.send(THREAD, wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="looks like a path"):
        turns.send("../etc", SAID)
    assert turns.send(THREAD, SAID).state["cooper"]["round"] == 1


def test_a_refused_message_in_the_thread_blocks_nothing(graph: Graph) -> None:
    config: Any = {"configurable": {"thread_id": THREAD}}
    with pytest.raises(InputError):
        graph.invoke({"messages": [HumanMessage("a" * 8_001)]}, config)
    assert Turns(graph).send(THREAD, said()).text == ANSWER


def test_a_graph_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(InputError, match=r"compile it with a checkpointer"):
        Turns(create_cooper("esc", ranker=FakeRanker()).compile())
    with pytest.raises(InputError, match=r"compile it with a checkpointer"):
        Turns(create_cooper("esc", ranker=FakeRanker()))  # type: ignore[arg-type]


def test_a_message_may_be_a_dictionary(graph: Graph) -> None:
    turns = Turns(graph)
    given = {"role": "user", "content": SAID, "id": "message-1"}
    first, second = turns.send(THREAD, given), turns.send(THREAD, given)
    assert (first.text, second.repeated) == (ANSWER, True)
    assert second.state["messages"][0].id == "message-1"
    for wrong, told in (
        ({"role": "assistant", "content": SAID}, "an AIMessage cannot be sent"),
        ({"text": SAID}, "this dict is no message"),
        ({"role": "user", "content": " "}, "the message is empty"),
    ):
        with pytest.raises(InputError, match=told):
            turns.send(THREAD, wrong)


def test_os_threads_go_on_in_the_order_in_which_they_asked(graph: Graph) -> None:
    turns, order = Turns(graph), []

    def hold(name: str) -> None:
        with turns.holding(THREAD):
            order.append(name)

    with turns.holding(THREAD):
        waiting = [threading.Thread(target=hold, args=(name,)) for name in "ab"]
        for place, thread in enumerate(waiting, start=1):
            thread.start()
            queue, _ = turns._sync_queues._queues[THREAD]
            until = time.monotonic() + 30
            while len(queue._callers) <= place and time.monotonic() < until:
                time.sleep(0.001)
    hold("c")  # at once, before the others wake
    for thread in waiting:
        thread.join()
    assert order == ["a", "b", "c"]


def test_a_call_that_is_interrupted_while_it_asks_blocks_nobody() -> None:
    class Interrupted:
        """A guard whose first user is interrupted as it leaves, by Ctrl+C, say."""

        def __init__(self) -> None:
            self.uses = 0

        def __enter__(self) -> None:
            self.uses += 1

        def __exit__(self, *_: object) -> None:
            if self.uses == 1:
                raise KeyboardInterrupt

    lock = FairLock()
    lock._guard = Interrupted()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt), lock.turn(None):
        pass
    with lock.turn(0) as came:
        assert came


def test_a_call_that_gave_up_leaves_the_order_to_the_others(graph: Graph) -> None:
    turns = Turns(graph, wait=0.2)
    with turns.holding(THREAD), ThreadPoolExecutor() as pool:
        refused = pool.submit(turns.send, THREAD, SAID)
        with pytest.raises(ThreadBusyError):
            refused.result()
    assert turns.send(THREAD, SAID).text == ANSWER


async def test_the_system_opens_where_its_task_says_so() -> None:
    graph = create_cooper("persuasion", ranker=FakeRanker()).compile(checkpointer=InMemorySaver())
    turns = Turns(graph)
    opening = await turns.asend(THREAD, None)
    assert opening.text
    assert (await turns.asend(THREAD, None)).text == opening.text
    assert len((await turns.asend(THREAD, "I am fine.")).state["messages"]) == 3


# -------------------------------------------------------------- leaving


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[AsyncSqliteSaver]:
    async with aiosqlite.connect(tmp_path / "talks.sqlite") as connection:
        yield AsyncSqliteSaver(connection)


async def cut(graph: Graph, model: ScriptedModel, message: HumanMessage) -> None:
    """A client that goes away while the generator works."""
    model.delays = {"generator": 60}
    sending = asyncio.create_task(Turns(graph).asend(THREAD, message))
    config: Any = {"configurable": {"thread_id": THREAD}}
    while (await graph.aget_state(config)).next != ("generator",):
        assert not sending.done()
        await asyncio.sleep(0.01)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    model.delays = {}


async def test_a_client_that_leaves_and_asks_again(
    model: ScriptedModel, store: AsyncSqliteSaver
) -> None:
    graph = cooper(store, model)
    turns = Turns(graph)
    await cut(graph, model, said())
    snapshot = await graph.aget_state({"configurable": {"thread_id": THREAD}})
    assert texts(snapshot.values) == [SAID]  # kept, once
    assert snapshot.next == ("generator",)
    reply = await turns.asend(THREAD, said())
    assert (reply.text, reply.repeated) == (ANSWER, False)
    assert texts(reply.state) == [SAID, ANSWER]
    assert len(model.asked("tracker")) == 3  # what had finished is not asked again


async def test_a_client_that_leaves_and_says_something_else(
    model: ScriptedModel, store: AsyncSqliteSaver
) -> None:
    graph = cooper(store, model)
    turns = Turns(graph)
    await cut(graph, model, said())
    reply = await turns.asend(THREAD, said("Are you there?", "m-2"))
    assert texts(reply.state) == [SAID, ANSWER, "Are you there?", ANSWER]


async def test_nothing_new_finishes_what_was_cut(
    model: ScriptedModel, store: AsyncSqliteSaver
) -> None:
    graph = cooper(store, model)
    turns = Turns(graph)
    await cut(graph, model, said())
    assert texts((await turns.asend(THREAD, None)).state) == [SAID, ANSWER]


async def test_a_stream_that_is_closed(model: ScriptedModel, store: AsyncSqliteSaver) -> None:
    turns = Turns(cooper(store, model))
    async with aclosing(turns.astream(THREAD, said())) as parts:  # type: ignore[type-var]
        async for part in parts:
            if isinstance(part["data"][0], AIMessage):
                break
    assert not turns._async_queues._queues
    again = [part async for part in turns.astream(THREAD, said())]
    assert spoken(again) == ANSWER
    assert texts((await turns.asend(THREAD, None)).state) == [SAID, ANSWER]


def test_a_sync_stream_that_is_closed(graph: Graph) -> None:
    turns = Turns(graph)
    parts = turns.stream(THREAD, said())
    next(parts)
    parts.close()  # type: ignore[attr-defined]
    assert spoken(turns.stream(THREAD, said())) == ANSWER
    assert texts(turns.send(THREAD, None).state) == [SAID, ANSWER]


async def test_a_client_that_leaves_at_any_moment(store: AsyncSqliteSaver) -> None:
    """Cancelled after 0 to 110 ms, wherever that is: kept once or not at all, then answered."""
    turns = Turns(cooper(store))
    for number in range(12):
        message = said(f"I feel low, part {number}.", f"m-{number}")
        sending = asyncio.create_task(turns.asend(THREAD, message))
        await asyncio.sleep(number * 0.01)
        sending.cancel()
        await asyncio.wait([sending])
        if number % 2:
            await turns.asend(THREAD, message)
    state = (await turns.asend(THREAD, said("Still here.", "m-12"))).state
    ids = [m.id for m in state["messages"] if m.type == "human"]
    assert len(ids) == len(set(ids))
    assert {f"m-{n}" for n in range(1, 12, 2)} <= set(ids)
    assert [m.type for m in state["messages"]] == ["human", "ai"] * len(ids)
    assert not turns._async_queues._queues


async def test_who_is_cancelled_while_waiting_leaves_nothing(graph: Graph) -> None:
    turns = Turns(graph)
    async with turns.aholding(THREAD):
        waiting = [asyncio.create_task(turns.asend(THREAD, said())) for _ in range(5)]
        await asyncio.sleep(0.02)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
    assert not turns._async_queues._queues
    assert texts((await turns.asend(THREAD, said())).state) == [SAID, ANSWER]
