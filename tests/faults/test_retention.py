"""Old checkpoints go; the conversation, and a turn that is to be resumed, stay."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph

from langgraph_cooper.graph import (
    InputError,
    ModelError,
    ThreadBusyError,
    Turns,
    create_cooper,
    prune_thread,
)
from tests.support.rankers import FakeRanker
from tests.support.scripted import ScriptedModel

Graph = CompiledStateGraph[Any, Any, Any, Any]
THREAD = "anna"
CONFIG: Any = {"configurable": {"thread_id": THREAD}}
TURNS = 4


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture(params=["memory", "sqlite"])
def saver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BaseCheckpointSaver[Any]]:
    if request.param == "memory":
        yield InMemorySaver()
        return
    connection = sqlite3.connect(tmp_path / "talks.sqlite", check_same_thread=False)
    yield SqliteSaver(connection)
    connection.close()


@pytest.fixture
def graph(saver: BaseCheckpointSaver[Any], model: ScriptedModel) -> Graph:
    return cooper(saver, model)


def cooper(saver: Any, model: ScriptedModel) -> Graph:
    return create_cooper("esc", model=model, ranker=FakeRanker()).compile(checkpointer=saver)


def talk(turns: Turns, thread: str = THREAD, count: int = TURNS) -> None:
    for number in range(count):
        turns.send(thread, HumanMessage(f"I feel low, part {number}.", id=f"m-{number}"))


def steps(saver: Any, thread: str = THREAD) -> list[Any]:
    return list(saver.list({"configurable": {"thread_id": thread}}))


def test_the_conversation_stays_and_goes_on(graph: Graph, saver: Any) -> None:
    turns = Turns(graph)
    talk(turns)
    talk(turns, "other")
    before, number = graph.get_state(CONFIG), len(steps(saver))
    assert turns.prune(THREAD) == number - 1
    assert len(steps(saver)) == 1
    assert len(steps(saver, "other")) == number
    after = graph.get_state(CONFIG)
    assert after.values == before.values
    assert after.config == before.config
    assert after.parent_config is None
    one = turns.send(THREAD, "Are you there?").state
    two = turns.send("other", "Are you there?").state
    assert [m.text for m in one["messages"]] == [m.text for m in two["messages"]]
    assert one["exploration"]["state"] == two["exploration"]["state"]
    assert one["cooper"] == two["cooper"]


def test_the_ends_of_the_last_turns_stay_to_go_back_to(graph: Graph) -> None:
    turns = Turns(graph)
    talk(turns)
    turns.prune(THREAD, keep=3)
    history = list(graph.get_state_history(CONFIG))
    assert [len(s.values["messages"]) for s in history] == [8, 6, 4]
    assert not any(s.next for s in history)
    forked = graph.invoke({"messages": [HumanMessage("Or rather this.")]}, history[2].config)
    assert [m.text for m in forked["messages"]][3:5] == [
        history[2].values["messages"][3].text,
        "Or rather this.",
    ]


@pytest.mark.parametrize("place", ["generator", "promoter:comforting"])
def test_an_unfinished_turn_resumes(graph: Graph, model: ScriptedModel, place: str) -> None:
    turns = Turns(graph)
    talk(turns)
    model.script = {place: ModelError("broken")}
    with pytest.raises(ModelError, match="broken"):
        turns.send(THREAD, HumanMessage("Are you there?", id="m-9"))
    turns.prune(THREAD)
    assert graph.get_state(CONFIG).next
    model.script = {}
    model.calls.clear()
    reply = turns.send(THREAD, HumanMessage("Are you there?", id="m-9"))
    assert len(reply.state["messages"]) == 2 * TURNS + 2
    assert not model.asked("tracker")  # what had finished, inside the agents too, is kept
    assert {call.asked.key for call in model.calls} == {place, "generator"}


def test_a_graph_with_a_memory_of_its_own_keeps_it(saver: Any) -> None:
    prompts = []
    for thread in ("pruned", "whole"):
        model = ScriptedModel()
        inner = create_cooper("esc", model=model, ranker=FakeRanker()).compile(checkpointer=True)
        outer = StateGraph(MessagesState)
        outer.add_node("support", inner)
        outer.add_edge(START, "support")
        turns = Turns(outer.compile(checkpointer=saver))
        talk(turns, thread, 3)
        if thread == "pruned":
            assert turns.prune(thread)
        model.calls.clear()
        turns.send(thread, "Are you there?")
        prompts.append({c.asked.key: [plain(m.text) for m in c.messages] for c in model.calls})
    assert prompts[0] == prompts[1]


def plain(prompt: str) -> str:
    """Without the random part of its delimiters."""
    return re.sub(r"\b[0-9a-f]{16}\b", "", prompt)


async def test_async_sqlite(tmp_path: Path, model: ScriptedModel) -> None:
    async with aiosqlite.connect(tmp_path / "talks.sqlite") as connection:
        graph = cooper(AsyncSqliteSaver(connection), model)
        await prune_and_go_on(Turns(graph), graph)


async def prune_and_go_on(turns: Turns, graph: Graph) -> None:
    for number in range(TURNS):
        await turns.asend(THREAD, f"I feel low, part {number}.")
    before = await graph.aget_state(CONFIG)
    assert await turns.aprune(THREAD, keep=2) > 20
    assert (await graph.aget_state(CONFIG)).values == before.values
    assert [len(s.values["messages"]) async for s in graph.aget_state_history(CONFIG)] == [8, 6]
    assert len((await turns.asend(THREAD, "And now?")).state["messages"]) == 10
    await turns.adelete(THREAD)
    assert (await graph.aget_state(CONFIG)).values == {}


def test_a_deleted_thread_is_gone(graph: Graph, saver: Any) -> None:
    turns = Turns(graph)
    talk(turns, count=1)
    turns.delete(THREAD)
    assert steps(saver) == []
    assert turns.send(THREAD, "Hello.").state["cooper"]["round"] == 1


def test_a_turn_under_way_is_waited_for(graph: Graph) -> None:
    turns = Turns(graph, wait=0.01)
    with turns.holding(THREAD):
        for change in (turns.prune, turns.delete):
            with pytest.raises(ThreadBusyError):
                change(THREAD)


def test_a_thread_keeps_its_last_checkpoint() -> None:
    with pytest.raises(InputError, match="keep is 0"):
        prune_thread(InMemorySaver(), THREAD, keep=0)
    assert prune_thread(InMemorySaver(), "nobody") == 0


def test_another_saver_prunes_itself_or_is_refused() -> None:
    class Own(BaseCheckpointSaver[str]):
        pruned: Any = None

        def get_tuple(self, config: Any) -> None:
            return None

        def prune(self, thread_ids: Any, *, strategy: str = "keep_latest") -> None:
            self.pruned = thread_ids, strategy

    saver = Own()
    prune_thread(saver, THREAD)
    assert saver.pruned == ([THREAD], "keep_latest")
    with pytest.raises(InputError, match="Own cannot be pruned to 2 turns"):
        prune_thread(saver, THREAD, keep=2)
    with pytest.raises(InputError, match="BaseCheckpointSaver cannot"):
        prune_thread(BaseCheckpointSaver(), THREAD)
