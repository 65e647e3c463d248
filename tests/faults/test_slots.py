"""Lanes that share a local server with one slot do not time one another out."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from langchain_core.messages import HumanMessage

from langgraph_cooper.graph import CooperContext
from langgraph_cooper.nodes.llm import budget, call
from langgraph_cooper.nodes.llm.budget import Role, Slots
from tests.support.openai_server import OpenAIServer, Reply, Request, obey
from tests.support.turns import SAID, SPOKEN, THREAD, WAYS, cooper, done, turn

pytestmark = pytest.mark.usefixtures("quick_retries")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield server


@pytest.fixture(autouse=True)
def _short_first_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "FIRST_ALONE", 0.2)


class Counting:
    """Answers as an obedient model would, and counts the requests that are under way.

    Args:
        enough: So many are waited for, once: a busy machine sends them one after another.
    """

    def __init__(self, enough: int) -> None:
        self.most = 0
        self._now = 0
        self._enough = enough
        self._change = threading.Condition()

    def __call__(self, request: Request) -> Reply:
        with self._change:
            self._now += 1
            self.most = max(self.most, self._now)
            self._change.notify_all()
            self._change.wait_for(lambda: self.most >= self._enough, 10)
        time.sleep(0.1)  # in which one too many would come
        with self._change:
            self._now -= 1
        return obey(request)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("at_once", [1, 2])
async def test_no_more_than_chosen(at_once: int, way: str, server: OpenAIServer) -> None:
    server.reply = counting = Counting(at_once)
    ended = await turn(cooper(model="some-model"), way, at_once=at_once)
    assert ended.messages == [SAID, SPOKEN]
    assert ended.faults == set()
    assert counting.most == at_once
    roles = [request.asked.role for request in server.requests]
    assert Counter(roles) == {"tracker": 3, "promoter": 3, "generator": 1}


@pytest.mark.parametrize("way", ["invoke", "astream"])
@pytest.mark.parametrize("slots", [1, 2])
async def test_as_many_as_the_server_says_it_has(
    slots: int, way: str, server: OpenAIServer
) -> None:
    server.props = {"total_slots": slots, "model_path": "a.gguf"}  # as llama.cpp's server does
    server.reply = counting = Counting(slots)
    for _ in range(2):
        ended = await turn(cooper(model="some-model"), way)
        assert ended.reply == SPOKEN
        assert ended.faults == set()
    assert counting.most == slots
    server.reply = counting = Counting(3)
    await turn(cooper(model="some-model"), way, at_once=3)  # the caller's word counts more
    assert counting.most == 3


@pytest.mark.parametrize("props", [{}, {"total_slots": 0}, {"total_slots": "1"}, ["total_slots"]])
async def test_what_a_server_says_otherwise_limits_nothing(
    props: object, server: OpenAIServer
) -> None:
    server.props = props
    await turn(cooper(model="some-model"))
    server.reply = counting = Counting(3)
    ended = await turn(cooper(model="some-model"))
    assert ended.faults == set()
    assert counting.most == 3


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize("told", ["by a run", "by the server"])
async def test_the_guards_second_reader_asks_no_more_than_that(
    told: str, way: str, server: OpenAIServer
) -> None:
    server.reply = counting = Counting(1)
    server.props = {"total_slots": 1} if told == "by the server" else None
    graph = cooper(guard_model="some-model")
    said = [HumanMessage(f"My boss is mean to {who} in the office.") for who in ("all", "me")]
    context = CooperContext(at_once=1 if told == "by a run" else None)
    await done(getattr(graph, way)({"messages": said}, THREAD, context=context))
    assert [request.asked.role for request in server.requests] == ["guard"] * 3
    assert counting.most == 1


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_the_guards_second_reader_has_one_time_for_all_messages(
    way: str, server: OpenAIServer
) -> None:
    server.reply = lambda _: Reply("none", delay=2.0)
    graph = cooper(guard_model="some-model")
    said = [HumanMessage(f"My boss is mean to {who} in the office.") for who in ("all", "me")]
    began, context = time.monotonic(), CooperContext(at_once=1, deadline=10)
    state = await done(getattr(graph, way)({"messages": said}, THREAD, context=context))
    assert [(f["step"], f["kind"]) for f in state["cooper"]["faults"]] == [("guard", "timeout")]
    assert len(server.requests) == 2
    assert time.monotonic() - began < 6 + 10  # the rest of the turn is offline


async def test_any_number_by_default(server: OpenAIServer) -> None:
    await turn(cooper(model="some-model"))  # the first request to an unknown server goes alone
    server.reply = counting = Counting(3)
    await turn(cooper(model="some-model"))
    assert counting.most == 3


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_a_slow_first_request_holds_nobody_up(way: str, server: OpenAIServer) -> None:
    server.reply = counting = Counting(3)
    await turn(cooper(model="some-model"), way)
    assert counting.most == 3


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_a_lane_that_hangs_leaves_the_others_their_part(
    way: str, server: OpenAIServer
) -> None:
    def reply(request: Request) -> Reply:
        return Reply(delay=60) if request.asked.key == "tracker:exploration" else obey(request)

    server.reply = reply
    ended = await turn(cooper(model="some-model"), way, at_once=1, deadline=6)
    assert ended.reply == SPOKEN
    kinds = {name: ended.state[name]["faults"] for name in ("exploration", "comforting", "action")}
    assert [f["kind"] for f in kinds["exploration"]] == ["timeout", "timeout"]
    assert kinds["comforting"] == kinds["action"] == []


def test_an_earlier_role_goes_first_and_who_gives_up_takes_no_slot() -> None:
    slots = Slots(1, 3)
    first, promoter, one, other = map(slots.enter, ("tracker", "promoter", "tracker", "tracker"))
    assert first.done()
    assert slots.rounds("tracker") == 3
    slots.leave(one)
    slots.leave(first)
    assert (other.done(), promoter.done()) == (True, False)
    slots.leave(other)
    assert promoter.done()
    slots.leave(promoter)
    assert slots.enter("generator").done()


def test_a_slot_is_given_once() -> None:
    slots = Slots(1, 3)
    held, waiting = slots.enter("tracker"), slots.enter("tracker")
    assert (held.done(), waiting.done()) == (True, False)
    slots.leave(waiting)
    assert not slots.enter("tracker").done()


async def test_a_cancelled_turn_leaves_its_slots(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered: list[tuple[Slots, Future[None]]] = []

    class Recorded(Slots):
        def enter(self, role: Role) -> Future[None]:
            entered.append((self, super().enter(role)))
            return entered[-1][1]

    monkeypatch.setattr(budget, "Slots", Recorded)
    server.reply = lambda _: Reply(delay=60)
    running = asyncio.ensure_future(turn(cooper(model="some-model"), "ainvoke", at_once=1))
    ends = time.monotonic() + 10
    while not server.requests or len(entered) < 3:
        assert time.monotonic() < ends
        await asyncio.sleep(0.01)
    assert sorted(slot.done() for _, slot in entered) == [False, False, True]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    ((slots, _), *_) = entered
    assert slots.enter("tracker").done()
