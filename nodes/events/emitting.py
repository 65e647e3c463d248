"""Emits events from within a graph, to LangGraph's streams and LangChain's custom events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from langchain_core.callbacks import (
    AsyncCallbackHandler,
    BaseCallbackHandler,
    BaseCallbackManager,
)
from langchain_core.callbacks.manager import adispatch_custom_event, dispatch_custom_event
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.types import StreamWriter

from langgraph_cooper.nodes.events.making import turn_of
from langgraph_cooper.nodes.events.types import EventBase

NAME = "cooper"
"""The name of the events among LangChain's custom events."""

DEAF = (BaseCallbackHandler.on_custom_event, AsyncCallbackHandler.on_custom_event)

_outer: ContextVar[tuple[StreamWriter, str] | None] = ContextVar("outer", default=None)


@contextmanager
def emitting_outside(turn: str) -> Iterator[None]:
    """Let the events of a graph inside this node come from the node, in its turn.

    LangGraph shows what a subgraph writes only to those who ask for `subgraphs=True`.
    """
    token = _outer.set((_writer(), turn))
    try:
        yield
    finally:
        _outer.reset(token)


def current_turn(messages: Sequence[BaseMessage] = ()) -> str:
    """Return the id of the turn around this graph, or that of these messages if there is none."""
    outer = _outer.get()
    return outer[1] if outer else turn_of(messages)


def emit(events: Iterable[EventBase], config: RunnableConfig) -> None:
    """Write events to LangGraph's "custom" stream, and dispatch them as LangChain's custom events.

    `astream_events`, and so AG-UI, show only the latter.
    """
    write, heard = _writer(), _is_heard(config)
    for event in events:
        data = event.as_dict()
        write(data)
        if heard:
            dispatch_custom_event(NAME, data, config=config)


async def aemit(events: Iterable[EventBase], config: RunnableConfig) -> None:
    """Emit events in async code. See `emit`."""
    write, heard = _writer(), _is_heard(config)
    for event in events:
        data = event.as_dict()
        write(data)
        if heard:
            await adispatch_custom_event(NAME, data, config=config)


def _writer() -> StreamWriter:
    if outer := _outer.get():
        return outer[0]
    try:
        return get_stream_writer()
    except (RuntimeError, KeyError):  # a node outside a graph
        return lambda _: None


def _is_heard(config: RunnableConfig) -> bool:
    callbacks = config.get("callbacks")
    if not isinstance(callbacks, BaseCallbackManager) or callbacks.parent_run_id is None:
        return False
    return any(type(one).on_custom_event not in DEAF for one in callbacks.handlers)
