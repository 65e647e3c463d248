"""A turn that was left asks no model any more: counted at the endpoint, with lanes in parallel."""

from __future__ import annotations

import asyncio
import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing
from typing import Any

import anyio
import pytest
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatResult
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph import CooperContext, Turns, create_cooper
from langgraph_cooper.graph.threads.leaving import NOT_TAKEN
from langgraph_cooper.nodes.llm import call
from tests.support.openai_server import OpenAIServer, Reply, Request, obey
from tests.support.rankers import FakeRanker
from tests.support.role_model import RoleModel
from tests.support.turns import SAID, SPOKEN, cooper

pytestmark = pytest.mark.usefixtures("quick_retries")

ANNA = "anna"
MODEL = CooperContext(model="some-model", deadline=20)
HELD = Reply(delay=60)
# Seconds in which a step that was not ended would begin the next one.
GRACE = 0.3
# How many requests have come when the client leaves; the modules that wait for an answer then, and
# how many they are: all trackers, two of them and a promoter, all promoters, the generator.
MOMENTS = {
    3: (("tracker",), 3),
    4: (("tracker:comforting", "tracker:action", "promoter"), 3),
    6: (("promoter",), 3),
    7: (("generator",), 1),
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setattr(call, "FIRST_ALONE", 0.1)  # the first request is held, too
        yield server


@pytest.fixture
def turns() -> Turns:
    return Turns(cooper())


def hold(*keys: str) -> Callable[[Request], Reply]:
    """Answer these modules after a minute, and the others at once."""

    def reply(request: Request) -> Reply:
        return HELD if {request.asked.key, request.asked.role} & set(keys) else obey(request)

    return reply


async def run(turns: Turns, how: str) -> None:
    if how == "asend":
        await turns.asend(ANNA, SAID, context=MODEL)
    else:
        async with aclosing(turns.astream(ANNA, SAID, context=MODEL)) as parts:
            async for _ in parts:
                pass


async def leave(running: Callable[[], Any], there: Callable[[], Any], cancelled_by: str) -> None:
    """Run something, and cancel it when so many requests are under way."""

    async def cancel(scope: Any) -> None:
        await asyncio.to_thread(there)
        scope.cancel()

    if cancelled_by == "anyio":
        async with anyio.create_task_group() as group:
            group.start_soon(cancel, group.cancel_scope)
            await running()
        return
    task = asyncio.create_task(running())
    await cancel(task)
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("cancelled_by", ["anyio", "asyncio"])
@pytest.mark.parametrize("how", ["asend", "astream"])
@pytest.mark.parametrize("count", MOMENTS)
async def test_a_cancelled_turn_asks_nothing_more_and_hangs_up(
    server: OpenAIServer, turns: Turns, count: int, how: str, cancelled_by: str
) -> None:
    keys, waiting = MOMENTS[count]
    server.reply = hold(*keys)
    await leave(lambda: run(turns, how), lambda: server.arrived(count), cancelled_by)
    server.reply = obey
    async with turns.aholding(ANNA):  # free only when the turn has ended
        await asyncio.sleep(GRACE)
    assert len(server.requests) == count
    ends = time.monotonic() + 30
    while server.hung_up < waiting and time.monotonic() < ends:  # the server looks now and then
        await asyncio.sleep(0.01)
    assert server.hung_up == waiting
    answered = await turns.asend(ANNA, None, context=MODEL)
    assert [message.text for message in answered.state["messages"]] == [SAID, SPOKEN]


class Blocking(RoleModel):
    """A model without async methods: LangChain runs it in threads."""

    waits: Any = None

    def _generate(self, messages: list[BaseMessage], *args: Any, **more: Any) -> ChatResult:
        answer = super()._generate(messages, *args, **more)
        self.waits.wait(20)
        return answer


async def test_a_model_without_async_methods_is_not_asked_again() -> None:
    model = Blocking(waits=threading.Event())
    turns = Turns(cooper(model=model))

    def there() -> int:
        while len(model.calls) < 3:
            time.sleep(0.01)
        return len(model.calls)

    await leave(lambda: turns.asend(ANNA, SAID), there, "anyio")
    model.waits.set()
    async with turns.aholding(ANNA):
        await asyncio.sleep(GRACE)
    assert len(model.calls) == 3
    assert (await turns.asend(ANNA, None)).text


def test_a_sync_stream_that_is_closed_asks_nothing_more(server: OpenAIServer, turns: Turns) -> None:
    server.reply = hold("tracker:comforting", "tracker:action", "promoter")
    how: dict[str, Any] = {"context": MODEL, "stream_mode": "updates", "subgraphs": True}
    with closing(turns.stream(ANNA, SAID, **how)) as parts:
        for part in parts:
            if "tracker" in part["data"]:
                break
        assert server.arrived(4) == 4
        began = time.monotonic()
        server.reply = obey
    assert time.monotonic() - began < MODEL.deadline / 2  # nobody waited for the answers
    time.sleep(GRACE)
    assert len(server.requests) == 4
    assert turns.send(ANNA, None, context=MODEL).text == SPOKEN
    assert len(server.asked("tracker:exploration")) == 1  # what had finished is kept


@pytest.fixture
def listening() -> Iterator[None]:
    """Tests that run in the background begin with Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press_control_c() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@pytest.mark.usefixtures("listening")
def test_control_c_in_sync_code_asks_nothing_more(server: OpenAIServer, turns: Turns) -> None:
    server.reply = hold("tracker")

    def press() -> None:
        server.arrived(3)
        server.reply = obey
        press_control_c()

    pressing = threading.Thread(target=press)
    pressing.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        turns.send(ANNA, SAID, context=MODEL)
    assert time.monotonic() - began < MODEL.deadline / 2
    pressing.join()
    time.sleep(GRACE)
    assert len(server.requests) == 3
    assert turns.send(ANNA, None, context=MODEL).text == SPOKEN


@pytest.fixture
def between(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> OpenAIServer:
    """All trackers wait for their second attempt."""
    monkeypatch.setattr("langgraph_cooper.nodes.llm.retry.FIRST_WAIT", 8)
    server.reply = lambda _: Reply(status=500)
    return server


@pytest.mark.usefixtures("listening")
def test_a_sync_turn_that_is_left_between_two_attempts(between: OpenAIServer, turns: Turns) -> None:
    pressing = threading.Thread(target=lambda: (between.arrived(3), press_control_c()))
    pressing.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        turns.send(ANNA, SAID, context=MODEL)
    assert time.monotonic() - began < 4
    assert len(between.requests) == 3


async def test_an_async_turn_that_is_left_between_two_attempts(
    between: OpenAIServer, turns: Turns
) -> None:
    await leave(lambda: run(turns, "asend"), lambda: between.arrived(3), "anyio")
    began = time.monotonic()
    async with turns.aholding(ANNA):
        assert time.monotonic() - began < 4
    assert len(between.requests) == 3


# -------------------------------------------------------------- early


class Slow(InMemorySaver):
    """Keeps conversations where each look takes a while."""

    async def aget_tuple(self, config: Any) -> Any:
        await asyncio.sleep(0.01)
        return await super().aget_tuple(config)


async def test_a_turn_that_is_left_as_it_begins_keeps_its_message_or_says_not() -> None:
    turns, kept = Turns(create_cooper("esc", ranker=FakeRanker()).compile(checkpointer=Slow())), 0
    for moment in itertools.count(1):
        thread = f"{ANNA}-{moment}"
        sending = asyncio.create_task(turns.asend(thread, SAID))
        for _ in range(moment):
            await asyncio.sleep(0.001)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError) as left:
            await sending
        taken = getattr(left.value, "__notes__", []) != [NOT_TAKEN]
        messages = (await turns.asend(thread, "Hello?")).state["messages"]
        assert [m.text for m in messages if m.type == "human"] == [SAID] * taken + ["Hello?"]
        kept += taken
        if kept == 5:
            break


@pytest.mark.parametrize("cancelled_by", ["anyio", "asyncio"])
async def test_a_turn_that_is_left_while_it_waits_says_that_it_was_not_taken(
    turns: Turns, cancelled_by: str
) -> None:
    told: list[str] = []

    async def send() -> None:
        try:
            await turns.asend(ANNA, SAID)
        except asyncio.CancelledError as left:
            told.extend(left.__notes__)
            raise

    async with turns.aholding(ANNA):
        await leave(send, lambda: time.sleep(0.05), cancelled_by)
    assert told == [NOT_TAKEN]
    assert (await turns.asend(ANNA, "Hello?")).state["messages"][0].text == "Hello?"
