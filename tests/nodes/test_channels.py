"""Messages are the same however their writes are put together again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, RemoveMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import InvalidUpdateError
from langgraph.graph import START, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES, add_messages

from langgraph_cooper.nodes.channels import LatestChannel, MessagesChannel, said
from langgraph_cooper.nodes.errors import InputError
from langgraph_cooper.nodes.state import CooperInput
from langgraph_cooper.prompts.errors import a_kind

IDS = ["a", "b", "c"]
messages = st.sampled_from(
    [kind(text, id=id) for kind in (HumanMessage, AIMessage) for text in "xy" for id in IDS]
)
removals = st.sampled_from([RemoveMessage(id) for id in (*IDS, REMOVE_ALL_MESSAGES)])
bare = st.sampled_from([("user", "x"), ("ai", "y"), {"role": "user", "content": "z"}])
writes = st.lists(
    st.one_of(messages, bare, st.lists(st.one_of(messages, removals, bare), max_size=3)),
    max_size=6,
)


def tried(*parts: list[Any]) -> Any:
    found: list[Any] = []
    try:
        for part in parts:
            found = said(found, part)
    except ValueError as error:
        return str(error)
    return found


@given(writes, st.integers(0, 6))
def test_writes_are_put_together_in_any_portions(given: list[Any], cut: int) -> None:
    assert tried(given) == tried(given[:cut], given[cut:]) == tried(*([write] for write in given))


@given(st.lists(st.lists(st.one_of(messages, removals), max_size=4), max_size=5))
def test_they_are_added_as_langgraph_adds_them(given: list[Any]) -> None:
    expected: Any = []
    try:
        for write in given:
            expected = add_messages(expected, write)
    except ValueError as error:
        expected = str(error)
    assert tried(given) == expected


def test_texts_get_ids_of_their_own_and_chunks_become_messages() -> None:
    found = said([], [("user", "Hello."), ("user", "Hello."), AIMessageChunk("Hi.", id="1")])
    assert len({message.id for message in found}) == 3
    assert type(found[-1]) is AIMessage


@pytest.mark.parametrize("bad", [5, None, [5], [{"a": 1}], [{"role": "wizard", "content": "x"}]])
def test_what_is_no_message_is_named_and_the_thread_goes_on(bad: Any) -> None:
    builder = StateGraph(CooperInput).add_sequence([("answer", lambda _: {"messages": "Yes?"})])
    graph = builder.add_edge(START, "answer").compile(checkpointer=InMemorySaver())
    thread: RunnableConfig = {"configurable": {"thread_id": "one"}}
    graph.invoke({"messages": ["Hello."]}, thread)
    kind = a_kind(bad[0] if isinstance(bad, list) else bad)
    with pytest.raises(InputError, match=f"^{kind} in `messages` cannot be read as"):
        graph.invoke({"messages": bad}, thread)
    said = graph.invoke({"messages": ["Still here?"]}, thread)["messages"]
    assert [message.text for message in said] == ["Hello.", "Yes?", "Still here?", "Yes?"]


@pytest.mark.parametrize("turns", [10, 100, 1_000])
def test_snapshots_come_as_often_as_a_conversation_doubles(turns: int) -> None:
    channel = MessagesChannel(typ=list).from_checkpoint(None)
    since, saved, longest = 0, 0, 0
    for number in range(2 * turns):
        channel.update([[HumanMessage("x", id=str(number))]])
        since += 1
        longest = max(longest, since)
        if since >= channel.snapshot_frequency:
            since, saved = 0, saved + len(channel.get())
    assert saved <= 2 * 2 * turns
    assert longest <= max(64, turns)


def test_of_two_reports_that_are_written_at_once_neither_is_lost_in_silence() -> None:
    channel = LatestChannel(typ=dict).from_checkpoint(None)
    channel.key = "exploration"
    with pytest.raises(InvalidUpdateError, match="'exploration': Can receive only one value"):
        channel.update([{"state": "one"}, {"state": "other"}])
    channel.replay_writes([("1", "exploration", {"state": "old"}), ("2", "exploration", {})])
    assert channel.get() == {}
