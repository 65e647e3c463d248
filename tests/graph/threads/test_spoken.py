"""What every client shows of a turn."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph.state import CompiledStateGraph

from langgraph_cooper.graph import ModelError, Turns, create_cooper
from langgraph_cooper.graph.threads.spoken import SpokenTurn, system_is_due
from langgraph_cooper.prompts import load_task
from tests.support.rankers import FakeRanker
from tests.support.scripted import ScriptedModel

Graph = CompiledStateGraph[Any, Any, Any, Any]
ESC, PERSUASION = load_task("esc"), load_task("persuasion")
THREAD = "anna"
FIRST = HumanMessage("I lost my job.", id="m-1")
SECOND = HumanMessage("It was last week.", id="m-2")


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel(script={"generator": "The first answer."})


@pytest.fixture
def graph(model: ScriptedModel) -> Graph:
    return cooper("esc", model)


def cooper(task: str, model: ScriptedModel | None = None) -> Graph:
    uncompiled = create_cooper(task, model=model, ranker=FakeRanker())
    return uncompiled.compile(checkpointer=InMemorySaver())


def due(task: Any, graph: Graph) -> bool:
    return system_is_due(task, graph.get_state({"configurable": {"thread_id": THREAD}}))


async def test_sync_and_async_say_and_tell_the_same(graph: Graph) -> None:
    turns = Turns(graph)
    one = SpokenTurn(turns, ESC, "one", FIRST)
    two = SpokenTurn(turns, ESC, "two", FIRST)
    pieces = list(one)
    assert pieces == [piece async for piece in two]
    assert len(pieces) > 1
    assert "".join(map(str, pieces)) == "The first answer."
    assert min(one.seconds, two.seconds) > 0
    told = one.record()
    assert (told["turn"], told["user"], told["reply"]) == (1, FIRST.text, "The first answer.")
    assert json.loads(json.dumps(told)) == told
    assert {**told, "seconds": 0} == {**two.record(), "seconds": 0}


def test_a_message_sent_again_is_told_with_its_own_answer(
    graph: Graph, model: ScriptedModel
) -> None:
    turns = Turns(graph)
    turns.send(THREAD, FIRST)
    model.script = {"generator": "The second answer."}
    turns.send(THREAD, SECOND)
    again = SpokenTurn(turns, ESC, THREAD, FIRST)
    assert list(again) == ["The first answer."]
    told = again.record()
    assert (told["user"], told["reply"]) == (FIRST.text, "The first answer.")


def test_a_cut_turn_is_due_and_told_with_its_message(graph: Graph, model: ScriptedModel) -> None:
    turns = Turns(graph)
    assert not due(ESC, graph)
    model.script = {"generator": ModelError("broken")}
    with pytest.raises(ModelError, match="broken"):
        list(SpokenTurn(turns, ESC, THREAD, FIRST))
    assert due(ESC, graph)
    model.script = {"generator": "The first answer."}
    resumed = SpokenTurn(turns, ESC, THREAD)
    assert "".join(map(str, resumed)) == "The first answer."
    assert resumed.record()["user"] == FIRST.text
    assert not due(ESC, graph)


def test_the_system_opens_where_its_task_says_so() -> None:
    graph = cooper("persuasion")
    assert due(PERSUASION, graph)
    opening = SpokenTurn(Turns(graph), PERSUASION, THREAD)
    assert list(opening)
    assert opening.record()["user"] is None
    assert not due(PERSUASION, graph)


async def test_a_turn_that_is_left_releases_its_thread(graph: Graph) -> None:
    turns = Turns(graph, wait=0.05)
    pieces = iter(SpokenTurn(turns, ESC, THREAD, FIRST))
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    apieces = aiter(SpokenTurn(turns, ESC, "other", FIRST))
    await anext(apieces)
    await apieces.aclose()  # type: ignore[attr-defined]
    for thread in (THREAD, "other"):
        assert (await turns.asend(thread, FIRST)).text == "The first answer."


def test_a_turn_of_the_guard_tells_no_reports_of_an_earlier_one(graph: Graph) -> None:
    turns = Turns(graph)
    first = SpokenTurn(turns, ESC, THREAD, FIRST)
    list(first)
    assert first.record()["aspects"].keys() == {"exploration", "comforting", "action"}
    assert first.record()["guard"] == {"tier": "none"}
    helped = SpokenTurn(turns, ESC, THREAD, "I want to die")
    list(helped)
    told = helped.record()
    assert (told["aspects"], told["ranking"]) == ({}, [])
    assert (told["guard"]["tier"], told["guard"]["kind"]) == ("certain", "suicide")
    assert "988" in told["guard"]["pinned"]
    resumed = SpokenTurn(turns, ESC, THREAD, "yes, I am safe")
    assert "".join(map(str, resumed)) == "The first answer."
    told = resumed.record()
    assert told["guard"]["tier"] == "none"
    assert "988" in told["guard"]["pinned"]
