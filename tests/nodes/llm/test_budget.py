"""The time of a turn's model calls: what is computed here takes none of it."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from langgraph_cooper.graph import create_cooper
from langgraph_cooper.ranker.api import Progression
from tests.support.rankers import FakeRanker
from tests.support.scripted import ScriptedModel

SAID: Any = {"messages": [HumanMessage("I lost my job.")]}


class SlowRanker(FakeRanker):
    """Takes longer than the deadline, as one does that is loaded first."""

    def progression(self, aspect: str, state: str) -> Progression:
        time.sleep(1.5)
        return super().progression(aspect, state)


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_a_cold_start_takes_no_time_from_the_model(way: str) -> None:
    model = ScriptedModel(script={"generator": "I hear you."})
    graph = create_cooper("esc", model=model, ranker=SlowRanker()).compile()
    context: Any = {"deadline": 1.0}
    given = graph.invoke(SAID, context=context) if way == "invoke" else None
    state = given or await graph.ainvoke(SAID, context=context)
    assert state["messages"][-1].text == "I hear you."
    assert not state["cooper"].get("faults")


def test_the_time_of_all_questions_counts() -> None:
    model = ScriptedModel(delays={"tracker": 0.4, "promoter": 0.4, "generator": 0.6})
    graph = create_cooper("esc", model=model, ranker=FakeRanker()).compile()
    state = graph.invoke(SAID, context={"deadline": 1.2})  # type: ignore[arg-type]
    (fault,) = state["cooper"]["faults"]
    assert (fault["step"], fault["kind"]) == ("generator", "timeout")


class _Closing(BaseHTTPRequestHandler):
    """A server that closes each connection after a while, without an answer."""

    def do_GET(self) -> None:
        time.sleep(0.9)

    def do_POST(self) -> None:
        time.sleep(0.9)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_the_time_of_the_question_for_slots_counts(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Closing) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
        graph = create_cooper("esc", model="some-model", ranker=FakeRanker()).compile()
        create_cooper("esc", ranker=FakeRanker()).compile().invoke(SAID)  # loads the guard
        context: Any = {"deadline": 1.0}
        began = time.monotonic()
        try:
            given = graph.invoke(SAID, context=context) if way == "invoke" else None
            state = given or await graph.ainvoke(SAID, context=context)
            took = time.monotonic() - began
        finally:
            server.shutdown()
    assert state["messages"][-1].text
    assert took < 2.5
