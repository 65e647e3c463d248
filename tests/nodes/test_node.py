"""What a node says of a fault that is no model's of ours, and what it keeps of a message."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph import CooperContext, Turns, create_cooper
from tests.support.rankers import FakeRanker
from tests.support.scripted import ScriptedModel

KEY = "sk-marker-4711-of-the-test-0815"


def turns(model: ScriptedModel) -> Turns:
    graph = create_cooper("esc", model=model, ranker=FakeRanker())
    return Turns(graph.compile(checkpointer=InMemorySaver()))


def test_a_models_own_error_is_told_in_the_log_without_its_keys(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = RuntimeError(f"CUDA out of memory\nfor {KEY}")
    with caplog.at_level(logging.WARNING):
        state = turns(ScriptedModel(script={"tracker:action": error})).send("anna", "Hello.").state
    (fault,) = state["action"]["faults"]
    assert fault["message"] == "it failed with RuntimeError; the log says more"
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("the tracker failed, and the turn goes on (RuntimeError: CUDA out of")
    assert KEY not in caplog.text


CALL: Any = {"name": "search", "args": '{"q": "jobs"}', "id": "call-1", "index": 0}
CALLS = ChatGenerationChunk(message=AIMessageChunk("", tool_call_chunks=[CALL]))


class Calling(ScriptedModel):
    """Its answers end in a call of a tool."""

    def _stream(
        self, messages: list[BaseMessage], *args: Any, run_manager: Any = None, **more: Any
    ) -> Iterator[ChatGenerationChunk]:
        yield from super()._stream(messages, *args, run_manager=run_manager, **more)
        if run_manager:
            run_manager.on_llm_new_token("", chunk=CALLS)
        yield CALLS

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, run_manager: Any = None, **more: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for chunk in super()._astream(messages, *args, run_manager=run_manager, **more):
            yield chunk
        if run_manager:
            await run_manager.on_llm_new_token("", chunk=CALLS)
        yield CALLS


@pytest.mark.parametrize("way", ["stream", "astream"])
@pytest.mark.parametrize("held", [True, False])
async def test_streamed_calls_of_tools_are_not_kept(held: bool, way: str) -> None:
    talk, context = turns(Calling()), CooperContext(hold_reply=held)
    if way == "stream":
        list(talk.stream("anna", "Hello.", context=context))
    else:
        async with aclosing(talk.astream("anna", "Hello.", context=context)) as parts:
            assert [part async for part in parts]
    message = talk.send("anna", None).message
    assert message is not None
    assert message.text == "I hear you, and I am glad you told me."
    assert not message.tool_calls
    assert not message.invalid_tool_calls
    assert not getattr(message, "tool_call_chunks", [])
