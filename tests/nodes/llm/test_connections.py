"""A connection that a server keeps open is used again in its event loop, and ends with it."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Iterator

import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from langgraph_cooper.nodes.llm import chat_model
from tests.support.openai_server import OpenAIServer, Reply


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    with OpenAIServer(lambda _: Reply("I hear you."), keep_alive=True) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield server


async def ask(server: OpenAIServer, model: str | ChatOpenAI = "some-model") -> int:
    """Ask twice; return how many connections are open then."""
    for _ in range(2):
        assert (await chat_model(model).ainvoke("Hello.")).text == "I hear you."
    return len(server.connections)


def closed(server: OpenAIServer) -> bool:
    until = time.monotonic() + 10
    while server.connections and time.monotonic() < until:
        time.sleep(0.01)
    return not server.connections


@pytest.mark.parametrize("whose", ["by name", "the caller's"])
def test_each_event_loop_has_its_own(whose: str, server: OpenAIServer) -> None:
    own = ChatOpenAI(model="own-model", base_url=server.url, api_key=SecretStr("sk-own"))
    for _ in range(3):
        assert asyncio.run(ask(server, "some-model" if whose == "by name" else own)) == 1
        assert closed(server)
    gc.collect()  # finds nothing to warn of
    assert len(server.requests) == 6


def test_loops_at_once_do_not_share_one(server: OpenAIServer) -> None:
    async def outer() -> tuple[int, int]:
        return await ask(server), await asyncio.to_thread(asyncio.run, ask(server))

    assert asyncio.run(outer()) == (1, 2)
    assert closed(server)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_was_only_closed_does_not_spoil_the_next(server: OpenAIServer) -> None:
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(ask(server)) == 1
    loop.close()
    assert asyncio.run(ask(server)) >= 1
    gc.collect()


class AskedLoop(asyncio.SelectorEventLoop):
    """An event loop in which a callback runs while others ask whether it is closed."""

    meanwhile = staticmethod(lambda: None)

    def is_closed(self) -> bool:
        self.meanwhile()
        return super().is_closed()


def test_a_loop_may_begin_while_another_one_looks_for_ended_ones(server: OpenAIServer) -> None:
    begun, over, threads = threading.Event(), threading.Event(), list[threading.Thread]()

    async def third() -> None:
        await ask(server)
        begun.set()
        await asyncio.to_thread(over.wait, 30)  # its connection stays open

    def begin() -> None:
        if not threads:
            threads.append(threading.Thread(target=asyncio.run, args=[third()]))
            threads[0].start()
            assert begun.wait(30)

    async def second() -> None:
        await ask(server)

    with asyncio.Runner(loop_factory=AskedLoop) as first:
        assert first.run(ask(server)) == 1
        first.get_loop().meanwhile = begin  # type: ignore[attr-defined]
        try:
            asyncio.run(second())
        finally:
            over.set()
            threads[0].join()
    assert begun.is_set()
    assert closed(server)
