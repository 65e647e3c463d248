"""Another answer to the last message, and other keys of a graph's input beside a message."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from langchain_core.messages import BaseMessage, HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from langgraph_cooper.graph import (
    AnswerAgain,
    InputError,
    ModelError,
    Reply,
    ThreadBusyError,
    Turns,
    create_cooper,
)
from langgraph_cooper.nodes.generator import STANDS_IN
from tests.support.processes import THREAD, texts
from tests.support.rankers import FakeRanker
from tests.support.scripted import ScriptedModel

SAID, NEW = "I lost my job.", "A new answer."
ANNA: Any = {"configurable": {"thread_id": THREAD}}
BROKEN = {"generator": ModelError("it broke off", "cut"), "tracker": ModelError("late", "timeout")}


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel(script=BROKEN)


def turns_of(model: ScriptedModel, saver: BaseCheckpointSaver[Any], **choices: Any) -> Turns:
    graph = create_cooper("esc", model=model, ranker=FakeRanker())
    return Turns(graph.compile(checkpointer=saver), **choices)


@pytest.fixture(params=["memory", "sqlite"])
async def turns(
    request: pytest.FixtureRequest, model: ScriptedModel, tmp_path: Path
) -> AsyncIterator[Turns]:
    if request.param == "memory":
        yield turns_of(model, InMemorySaver())
        return
    async with aiosqlite.connect(tmp_path / "talks.sqlite") as connection:
        yield turns_of(model, AsyncSqliteSaver(connection))


async def test_a_stand_in_is_replaced_once_and_nothing_is_doubled(
    turns: Turns, model: ScriptedModel
) -> None:
    message = HumanMessage(SAID, id="m-1")
    first = await turns.asend(THREAD, message)
    assert first.message is not None
    assert STANDS_IN in first.message.response_metadata
    model.script = {"generator": NEW}
    assert (await turns.asend(THREAD, message)).text == first.text  # the advice that did not help
    reply = await turns.aanswer_again(THREAD, "m-1")
    assert (reply.text, reply.repeated) == (NEW, False)
    assert texts(reply.state) == [SAID, NEW]
    assert "faults" not in reply.state["cooper"]
    assert all(reply.state[name]["state"] for name in ("exploration", "comforting", "action"))
    assert (await turns.asend(THREAD, message)).text == NEW
    assert texts((await turns.asend(THREAD, "It was last week.")).state)[:3:2] == [
        SAID,
        "It was last week.",
    ]


def test_the_same_in_sync_code(model: ScriptedModel, tmp_path: Path) -> None:
    with SqliteSaver.from_conn_string(str(tmp_path / "talks.sqlite")) as saver:
        for turns in (turns_of(model, InMemorySaver()), turns_of(model, saver)):
            model.script = BROKEN
            turns.send(THREAD, SAID)
            model.script = {"generator": NEW}
            assert texts(turns.answer_again(THREAD).state) == [SAID, NEW]


def test_agents_that_know_all_that_was_said_are_not_asked_for_a_summary(
    model: ScriptedModel,
) -> None:
    turns = turns_of(model, InMemorySaver())
    model.script = {"tracker": "They lost a job."}
    turns.send(THREAD, SAID)
    model.calls.clear()
    reply = turns.answer_again(THREAD)
    assert model.asked("tracker") == []
    assert reply.state["action"]["state"] == "They lost a job."


def test_it_is_told_as_events(model: ScriptedModel) -> None:
    turns = turns_of(model, InMemorySaver())
    began = next(iter(turns.events(THREAD, HumanMessage(SAID, id="m-1"))))
    model.script = {"generator": NEW}
    events = list(turns.events(THREAD, AnswerAgain("m-1")))
    assert events[0].type == "turn_started"
    assert (events[0].message_id, events[0].turn) == ("m-1", began.turn)
    assert "".join(event.text for event in events if event.type == "token") == NEW
    (reply,) = (event for event in events if event.type == "reply")
    assert (reply.text, reply.by, reply.repeated) == (NEW, "generator", False)


def test_a_turn_that_was_cut_is_finished(model: ScriptedModel) -> None:
    turns = turns_of(model, InMemorySaver())
    model.script = {"generator": ModelError("the key is refused")}
    turns_that_fail = (turns.send, lambda *_: turns.answer_again(THREAD))
    for send in turns_that_fail:
        with pytest.raises(ModelError, match="refused"):
            send(THREAD, SAID)
    model.script = {"generator": NEW}
    assert texts(turns.answer_again(THREAD).state) == [SAID, NEW]


def test_one_that_fails_leaves_the_message_which_the_next_call_answers(
    model: ScriptedModel,
) -> None:
    turns = turns_of(model, InMemorySaver())
    turns.send(THREAD, SAID)
    model.script = {"generator": ModelError("the key is refused")}
    with pytest.raises(ModelError, match="refused"):
        turns.answer_again(THREAD)
    model.script = {"generator": NEW}
    assert texts(turns.send(THREAD, None).state) == [SAID, NEW]


def test_the_guard_answers_a_crisis_again(model: ScriptedModel) -> None:
    turns = turns_of(model, InMemorySaver())
    first = turns.send(THREAD, "I want to kill myself.")
    assert "988" in first.text
    again = turns.answer_again(THREAD)
    assert "988" in again.text
    assert len(again.state["messages"]) == 2
    assert again.state["guard"]["tier"] == "certain"


def test_it_is_refused_where_there_is_nothing_to_answer(model: ScriptedModel) -> None:
    turns = turns_of(model, InMemorySaver())
    with pytest.raises(InputError, match="no message of a user to answer: send one"):
        turns.answer_again(THREAD)
    model.script = {}
    turns.send(THREAD, HumanMessage(SAID, id="m-1"))
    before = turns.send(THREAD, HumanMessage("It was last week.", id="m-2")).state["messages"]
    with pytest.raises(InputError, match="'m-1' is not the last one of its thread"):
        turns.answer_again(THREAD, "m-1")
    assert turns.graph.get_state(ANNA).values["messages"] == before


def test_it_waits_for_a_decision(model: ScriptedModel) -> None:
    turns = turns_of(model, InMemorySaver())
    turns.send(THREAD, "I want to kill myself.", context={"review": True})
    with pytest.raises(InputError, match="waits for a person's decision: resume it"):
        turns.answer_again(THREAD)


async def test_it_waits_for_a_turn_that_runs_as_a_message_does(model: ScriptedModel) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(_: list[BaseMessage]) -> str:
        entered.set()
        assert leave.wait(20)
        return NEW

    turns = turns_of(model, InMemorySaver(), wait=0.05)
    model.script = {"generator": slow}
    running = asyncio.create_task(asyncio.to_thread(turns.send, THREAD, SAID))
    await asyncio.to_thread(entered.wait, 20)
    with pytest.raises(ThreadBusyError):
        await asyncio.to_thread(turns.answer_again, THREAD)
    with pytest.raises(ThreadBusyError):
        await turns.aanswer_again(THREAD)
    leave.set()
    assert texts((await running).state) == [SAID, NEW]


# Other keys --------------------------------------------------------------------------------------


class Host(MessagesState):
    name: str


async def sent(turns: Turns, way: str, message: Any, **values: Any) -> Reply:
    if way == "async":
        return await turns.asend(THREAD, message, values=values)
    return turns.send(THREAD, message, values=values)


@pytest.fixture
def host() -> Turns:
    outer = StateGraph(Host)
    outer.add_node("support", create_cooper("esc", ranker=FakeRanker()).compile())
    outer.add_edge(START, "support")
    return Turns(outer.compile(checkpointer=InMemorySaver()))


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_values_reach_a_graph_around_cooper(host: Turns, way: str) -> None:
    message = HumanMessage(SAID, id="m-1")
    assert (await sent(host, way, message, name="Anna")).state["name"] == "Anna"
    again = await sent(host, way, message, name="Berta")  # it was stored with its own
    assert (again.state["name"], again.repeated) == ("Anna", True)
    reply = await sent(host, way, "It was last week.", name="Carla")
    assert (reply.state["name"], len(reply.state["messages"])) == ("Carla", 4)
    options: Any = {"values": {"name": "Dora"}, "stream_mode": "values"}
    parts = list(host.stream(THREAD, "Hm.", **options))
    assert parts[0]["data"]["name"] == "Dora"


@pytest.mark.parametrize(
    ("message", "values", "told"),
    [
        (SAID, {"messages": []}, "other keys of the graph's input"),
        (SAID, ["name"], "other keys of the graph's input"),
        (SAID, {"nam": "Anna"}, "the graph's input has no key 'nam': it has name"),
        (Command(resume=True), {"name": "Anna"}, "a Command takes no `values`"),
    ],
)
def test_values_that_cannot_be_passed(host: Turns, message: Any, values: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        host.send(THREAD, message, values=values)
    assert host.graph.get_state(ANNA).values == {}
