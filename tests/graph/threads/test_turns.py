"""A turn that fails, and the messages that come after it."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage, RemoveMessage
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph import ModelError, Reply, Turns, create_cooper, load_task
from langgraph_cooper.graph.threads.spoken import system_is_due
from langgraph_cooper.graph.threads.turns import Graph
from tests.support.processes import THREAD, texts
from tests.support.rankers import FakeRanker
from tests.support.scripted import ScriptedModel

FIRST, SECOND = "I lost my job.", "It was last week."
ANNA: Any = {"configurable": {"thread_id": THREAD}}
CRISIS = "I want to kill myself."


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel(script={"generator": ModelError("the key is refused")})


@pytest.fixture
def turns(model: ScriptedModel) -> Turns:
    graph = create_cooper("esc", model=model, ranker=FakeRanker())
    return Turns(graph.compile(checkpointer=InMemorySaver()))


def test_a_turn_that_fails_again_does_not_keep_help_from_a_person(turns: Turns) -> None:
    with pytest.raises(ModelError):
        turns.send(THREAD, FIRST)
    assert "988" in turns.send(THREAD, CRISIS).text


async def test_nor_in_async_code(turns: Turns) -> None:
    with pytest.raises(ModelError):
        await turns.asend(THREAD, FIRST)
    assert "988" in (await turns.asend(THREAD, CRISIS)).text


def test_after_two_failures_one_answer_is_to_both(turns: Turns, model: ScriptedModel) -> None:
    for said in (FIRST, SECOND):
        with pytest.raises(ModelError, match="refused"):
            turns.send(THREAD, said)
    model.script = {"generator": "I hear you."}
    assert texts(turns.send(THREAD, None).state) == [FIRST, SECOND, "I hear you."]


# -------------------------------------------------------------- threads that a person edited


async def nothing_new(turns: Turns, way: str) -> Reply:
    return turns.send(THREAD, None) if way == "sync" else await turns.asend(THREAD, None)


@pytest.fixture
def graph(model: ScriptedModel, turns: Turns) -> Graph:
    """A thread with two answered messages."""
    model.script = {"generator": "The first answer."}
    turns.send(THREAD, FIRST)
    model.script = {"generator": "The second answer."}
    turns.send(THREAD, SECOND)
    model.script = {"generator": "A new answer."}
    return turns._graph


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_nothing_new_answers_a_message_whose_answer_was_removed(
    turns: Turns, graph: Graph, way: str
) -> None:
    last = turns.send(THREAD, None).message
    assert last is not None
    assert last.text == "The second answer."
    graph.update_state(ANNA, {"messages": [RemoveMessage(id=str(last.id))]})
    reply = await nothing_new(turns, way)
    assert (reply.text, reply.repeated) == ("A new answer.", False)
    assert texts(reply.state) == [FIRST, "The first answer.", SECOND, "A new answer."]
    assert (await nothing_new(turns, way)).repeated


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_nothing_new_answers_a_message_that_was_added(
    turns: Turns, graph: Graph, way: str
) -> None:
    graph.update_state(ANNA, {"messages": [HumanMessage("And my wife?")]})
    assert system_is_due(load_task("esc"), graph.get_state(ANNA))
    reply = await nothing_new(turns, way)
    assert (reply.text, reply.repeated) == ("A new answer.", False)
    assert texts(reply.state)[4:] == ["And my wife?", "A new answer."]
    assert not system_is_due(load_task("esc"), graph.get_state(ANNA))
