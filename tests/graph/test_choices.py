"""A run's choice of models: a mistake ends the turn after the guard and before any agent."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph import create_cooper, warm_up
from langgraph_cooper.nodes import ModelError
from langgraph_cooper.nodes.events import as_event
from langgraph_cooper.nodes.finetuned.errors import VoiceError
from langgraph_cooper.prompts import load_task
from tests.support.openai_server import OpenAIServer
from tests.support.rankers import FakeRanker

ESC = load_task("esc")
THREAD: Any = {"configurable": {"thread_id": "one"}}
WRONG = [{"generator": "nosuch"}, {"model": "nosuch"}, {"generator_model": "nosuch"}]
CONCERN = "I keep hoping a bus will hit me"


def said(text: str) -> Any:
    return {"messages": [HumanMessage(text)]}


def cooper(*, guarded: bool) -> Any:
    task = ESC if guarded else ESC.model_copy(update={"guard": None})
    return create_cooper(task, ranker=FakeRanker()).compile(checkpointer=InMemorySaver())


@pytest.mark.parametrize("context", WRONG, ids=str)
@pytest.mark.parametrize("guarded", [True, False])
def test_a_wrong_name_ends_the_turn_before_any_agent(guarded: bool, context: Any) -> None:
    graph = cooper(guarded=guarded)
    how: Any = {"context": context, "stream_mode": "custom", "subgraphs": True}
    told: list[Any] = []
    parts = graph.stream(said("I lost my job."), THREAD, version="v2", **how)
    with pytest.raises(ModelError, match="needs a key: set OPENAI_API_KEY"):
        told.extend(as_event(part["data"]) for part in parts)  # keeps what came before
    assert told == []
    assert graph.get_state(THREAD).next == ("guard" if guarded else "intake",)
    state = graph.invoke(None, THREAD)  # it is mended, and the turn goes on
    assert [message.type for message in state["messages"]] == ["human", "ai"]
    assert all(state[name]["state"] for name in ESC.aspect_names)


def test_a_key_may_be_taken_away_once_the_models_are_set_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        graph = create_cooper("esc", model="some-model", ranker=FakeRanker()).compile()
        warm_up(graph)
        monkeypatch.delenv("OPENAI_BASE_URL")
        assert not graph.invoke(said("I lost my job."))["cooper"].get("faults")


async def test_the_same_async() -> None:
    graph = cooper(guarded=True)
    with pytest.raises(ModelError, match='neither "bank" nor "finetuned" nor a folder'):
        await graph.ainvoke(said("I lost my job."), THREAD, context=WRONG[0])
    assert graph.get_state(THREAD).next == ("guard",)


def test_no_generator_for_the_task_is_told_before_any_agent() -> None:
    task = ESC.model_copy(update={"name": "other"})
    graph = create_cooper(task, ranker=FakeRanker()).compile(checkpointer=InMemorySaver())
    with pytest.raises(VoiceError, match="no fine-tuned generator is shipped for the task 'other'"):
        graph.invoke(said("I lost my job."), THREAD, context={"generator": "finetuned"})  # type: ignore[arg-type]
    assert graph.get_state(THREAD).next == ("guard",)


def test_a_wrong_name_keeps_no_help_from_a_person() -> None:
    graph = cooper(guarded=True)
    state = graph.invoke(said("I want to kill myself."), THREAD, context=WRONG[0])
    assert "988" in state["messages"][-1].text


@pytest.mark.parametrize("context", WRONG[1:], ids=str)
def test_a_wrong_name_keeps_no_question_about_safety_from_a_person(context: Any) -> None:
    state = cooper(guarded=True).invoke(said(CONCERN), THREAD, context=context)
    assert state["guard"]["tier"] == "concern"
    assert "988" in state["guard"]["pinned"]
    assert "?" in state["messages"][-1].text
    assert "988" in state["messages"][-1].text
