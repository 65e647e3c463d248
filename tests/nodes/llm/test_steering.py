"""A model whose words would steer a terminal: neither the stream nor the state has them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, LLMResult
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph import CooperContext, Turns, create_cooper
from langgraph_cooper.nodes.llm.watch import Watch
from tests.support.rankers import FakeRanker
from tests.support.scripted import ScriptedModel

TITLE = "\x1b]0;owned by me\x07"  # the stream cuts it at its blanks
SAID = {"messages": [HumanMessage("I lost my job.")]}
SPOKEN = f"That is\x1b[2J {TITLE}hard.\r\n\tTell \u202eme\u202c 👩\u200d💻 é\0."
EXPECTED = "That is hard.\n\tTell me 👩\u200d💻 é."
TOPICS = [
    {"topic": f"ask \x1b[31mabout\x1b[0m {TITLE}work {n}", "strategy": "Question"} for n in "abc"
]
SCRIPT = {
    "generator": SPOKEN,
    "tracker": f"They {TITLE}lost \x1b[1ma job\u202e.",
    "promoter": json.dumps({"candidates": TOPICS}),  # JSON's own escapes
}


@pytest.mark.parametrize("hold", [True, False])
async def test_replies_summaries_and_topics_steer_no_terminal(hold: bool) -> None:
    model = ScriptedModel(script=SCRIPT)
    graph = create_cooper("esc", model=model, ranker=FakeRanker()).compile()
    context = CooperContext(hold_reply=hold)
    told, state = "", {}
    async for mode, part in graph.astream(
        SAID, stream_mode=["messages", "values"], context=context
    ):
        if mode == "values":
            state = part
        elif isinstance(part[0], AIMessageChunk) or hold:
            told += part[0].text
    assert state["messages"][-1].text == told == EXPECTED
    report = state["exploration"]
    assert report["state"] == "They lost a job."
    assert report["candidates"][0]["topic"] == "ask about work a"


@pytest.mark.parametrize("hold", [True, False])
@pytest.mark.parametrize("sync", [True, False])
async def test_an_answer_that_does_not_stream_steers_no_terminal(sync: bool, hold: bool) -> None:
    model = ScriptedModel(script=SCRIPT, disable_streaming=True)
    turns = Turns(
        create_cooper("esc", model=model, ranker=FakeRanker()).compile(checkpointer=InMemorySaver())
    )
    context = CooperContext(hold_reply=hold)
    if sync:
        told = list(turns.events("anna", "I lost my job.", context=context))
    else:
        told = [e async for e in turns.aevents("anna", "I lost my job.", context=context)]
    tokens = [event for event in told if event.type == "token"]
    (reply,) = [event for event in told if event.type == "reply"]
    assert "".join(token.text for token in tokens) == reply.text == EXPECTED
    assert {token.attempt for token in tokens} == {0}  # it is not told twice


def test_blocks_of_an_answer_that_does_not_stream_are_cleaned_too() -> None:
    blocks: list[Any] = ["a\x1b[2J", {"type": "text", "text": "b\r\nc"}, {"type": "image"}]
    message = AIMessage(blocks)
    Watch(60).on_llm_end(LLMResult(generations=[[ChatGeneration(message=message)]]))
    assert message.content == ["a", {"type": "text", "text": "b\nc"}, {"type": "image"}]


def test_what_was_held_at_the_end_of_a_stream_is_told() -> None:
    watch, told = Watch(60), ""
    for piece in ("one", "\x9dtwo", ""):
        message = AIMessageChunk(piece, chunk_position=None if piece else "last")
        watch.on_llm_new_token(piece, chunk=ChatGenerationChunk(message=message))
        told += message.text
    assert told == "onetwo"


def test_blocks_and_the_newer_protocol_of_events_are_cleaned_too() -> None:
    watch, told = Watch(60), []
    for piece in ("a\x1b]0;t", "itle\x07b"):
        message = AIMessageChunk([{"type": "text", "text": piece}])
        watch.on_llm_new_token("", chunk=ChatGenerationChunk(message=message))
        told.append(message.text)
    for piece in ("c\x1b[3", "1md"):
        event: dict[str, Any] = {"event": "content-block-delta", "delta": {"text": piece}}
        watch.on_stream_event(event)
        told.append(event["delta"]["text"])
    assert told == ["a", "b", "c", "d"]
