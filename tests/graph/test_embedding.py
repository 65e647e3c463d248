"""COOPER inside other programs: what docs/embedding.md shows, with the results checked."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain.tools import ToolRuntime, tool
from langchain_core.language_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph_supervisor import create_supervisor

from langgraph_cooper.graph import CooperContext, Turns, as_event, create_cooper
from langgraph_cooper.nodes.errors import InputError
from langgraph_cooper.nodes.language.history import speaker_of
from langgraph_cooper.nodes.state import GuardState
from langgraph_cooper.prompts import load_task
from tests.support.rankers import FakeRanker
from tests.support.scripted import ScriptedModel

SAID: Any = {"messages": [HumanMessage("I lost my job.", id="m-1")]}
REPLY = "I hear you, and I am glad you told me."
MODES: Any = ["messages", "custom"]


class Host(FakeMessagesListChatModel):
    """A model that hosts others: it calls a tool, then says a word, and so on."""

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self


def calls(name: str, text: str = "", **args: Any) -> Host:
    call: Any = {"name": name, "args": args, "id": "call-1"}
    return Host(responses=[AIMessage(text, tool_calls=[call]), AIMessage("That was it.")])


def cooper(**choices: Any) -> Any:
    graph = create_cooper("esc", model=ScriptedModel(), ranker=FakeRanker())
    return graph.compile(**choices)


def heard(graph: Any) -> tuple[str, set[str]]:
    """Return the words and the kinds of events that reach who streams a graph."""
    words, kinds = "", set()
    for part in graph.stream(SAID, stream_mode=MODES, subgraphs=True, version="v2"):
        if part["type"] == "messages":
            chunk = part["data"][0]
            words += chunk.text if part["ns"] and speaker_of(chunk) == "system" else ""
        elif event := as_event(part["data"]):
            kinds.add(event.type)
    return words, kinds


def test_a_node_gives_its_parent_the_words_and_the_ranking() -> None:
    host = StateGraph(MessagesState)
    host.add_node("support", cooper())
    host.add_edge(START, "support")
    words, kinds = heard(host.compile())
    assert words == REPLY
    assert {"agent", "ranking", "reply"} <= kinds
    parts = host.compile().stream(SAID, stream_mode="custom", version="v2")
    assert not list(parts)  # LangGraph's: only through subgraphs


@dataclass
class Own:
    """The context of a parent graph."""

    cooper: Any = None
    m: int = 9  # means something else here


def candidates(context: Any, schema: type[Any] | None) -> int:
    """Return the number of an agent's candidates in a parent that is run with a context."""
    host: Any = StateGraph(Reporting, context_schema=schema)
    host.add_node("support", create_cooper("persuasion", ranker=FakeRanker()).compile())
    host.add_edge(START, "support")
    return len(host.compile().invoke(SAID, context=context)["appeal"]["candidates"])


class Reporting(MessagesState):
    """The state of a parent that keeps a report."""

    appeal: dict[str, Any]


@pytest.mark.parametrize(
    ("context", "schema"),
    [
        (CooperContext(m=2), CooperContext),
        (Own(CooperContext(m=2)), Own),
        (Own({"m": 2}), Own),
        ({"cooper": {"m": 2}, "m": 9}, None),
    ],
)
def test_options_come_through_the_parents_context(context: Any, schema: Any) -> None:
    assert candidates(context, schema) == 2


@pytest.mark.parametrize("context", [Own(), {"m": 2}, None])
def test_without_them_they_are_the_defaults(context: Any) -> None:
    schema = Own if isinstance(context, Own) else None
    assert candidates(context, schema) == load_task("persuasion").m


@pytest.mark.parametrize("wrong", [5, {"m": 0}])
def test_wrong_ones_are_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match=r"'cooper' is an int|m: Input should be greater"):
        candidates(Own(wrong), Own)


@pytest.mark.parametrize("text", ["", "I hand you over to somebody who listens."])
def test_a_supervisor_hands_over_with_its_defaults(text: str) -> None:
    saver = InMemorySaver()
    model = calls("transfer_to_support", text)
    graph = create_supervisor([cooper(name="support")], model=model).compile(checkpointer=saver)
    config: Any = {"configurable": {"thread_id": "1"}}
    for said in ("I lost my job.", "It was last week."):
        state = graph.invoke({"messages": [HumanMessage(said)]}, config)
        spoken = [m.text for m in state["messages"] if speaker_of(m) == "system"]
        assert spoken[-2:] == [REPLY, "That was it."]
    words = [m.text for m in state["messages"] if speaker_of(m) == "user"]
    assert words == ["I lost my job.", "It was last week."]


def test_turns_of_a_supervisor_are_answered_by_the_sub_agent() -> None:
    model = calls("transfer_to_support")
    graph = create_supervisor([cooper(name="support")], model=model)
    turns = Turns(graph.compile(checkpointer=InMemorySaver()))
    assert turns.send("anna", SAID["messages"][0]).text == REPLY
    assert turns.send("anna", SAID["messages"][0]).repeated
    events = list(turns.events("otto", "It was last week.", subgraphs=True))
    assert {e.type for e in events} == {
        "turn_started", "agent", "ranking", "token", "reply", "done"
    }  # fmt: skip


@pytest.mark.parametrize("direct", [True, False])
def test_a_tool_reads_its_hosts_conversation(direct: bool) -> None:
    inner = cooper()

    @tool(return_direct=direct)
    def support(runtime: ToolRuntime) -> str:
        """Comfort the person."""
        state: Any = inner.invoke({"messages": runtime.state["messages"]})
        return str(state["messages"][-1].text)

    agent = create_agent(calls("support"), [support])
    texts = [message.text for message in agent.invoke(SAID)["messages"]]
    assert texts == ["I lost my job.", "", REPLY, *([] if direct else ["That was it."])]
    words, kinds = heard(create_agent(calls("support"), [support]))
    assert REPLY in words
    assert {"agent", "ranking", "reply"} <= kinds


def test_as_tool_with_a_plain_argument() -> None:
    steps = (
        RunnableLambda(lambda given: {"messages": [HumanMessage(given["message"])]})
        | cooper()
        | RunnableLambda(lambda state: state["messages"][-1].text)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # LangChain calls it beta
        comfort = steps.as_tool(name="comfort", description="Comforts.", arg_types={"message": str})
    assert comfort.invoke({"message": "I lost my job."}) == REPLY
    agent = create_agent(calls("comfort", message="I lost my job."), [comfort])
    assert agent.invoke(SAID)["messages"][2].text == REPLY


@pytest.mark.parametrize(
    ("key", "value"), [("guard", "mine"), ("guard", {"rule": "x"}), ("exploration", "notes")]
)
def test_a_hosts_own_value_under_a_shared_key_is_named_with_the_remedy(
    key: str, value: Any
) -> None:
    schema: Any = TypedDict("schema", {"messages": list[AnyMessage], key: Any})  # type: ignore[misc]
    host = StateGraph(schema)
    host.add_node("support", cooper())
    host.add_edge(START, "support")
    with pytest.raises(InputError, match=f"'{key}' .* rename that, or call COOPER's graph from a"):
        host.compile().invoke({**SAID, key: value})


@pytest.mark.parametrize("value", ["mine", {"rule": "x"}])
def test_in_a_crisis_help_comes_before_that(value: Any) -> None:
    schema: Any = TypedDict("schema", {"messages": list[AnyMessage], "guard": Any})
    host = StateGraph(schema)
    host.add_node("support", cooper())
    host.add_edge(START, "support")
    said = {"messages": [HumanMessage("I want to kill myself.", id="m-1")], "guard": value}
    state: Any = host.compile().invoke(said)
    assert "988" in state["messages"][-1].text
    assert state["guard"]["tier"] == "certain"
    assert isinstance(value, str) or state["guard"]["rule"] == "x"


def test_a_host_may_keep_the_guards_state() -> None:
    schema: Any = TypedDict("schema", {"messages": list[AnyMessage], "guard": GuardState})
    host = StateGraph(schema)
    host.add_node("support", cooper())
    host.add_edge(START, "support")
    for known in ({}, {"tier": "none", "of_a_later_version": True}):
        state: Any = host.compile().invoke({**SAID, "guard": known})
        assert state["guard"]["tier"] == "none"
