"""Streams of server-sent events that are counted, bounded, and ended with the server."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import anyio
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from langgraph_cooper.graph.server.errors import as_api_error
from langgraph_cooper.graph.server.limits import Streams
from langgraph_cooper.graph.server.records import Logged
from langgraph_cooper.graph.server.settings import Limits

logger = logging.getLogger(__name__)

STOPPING = 3.0
"""Seconds in which a stream tells that its turn was stopped with the server."""

_TEXT = {"type": "string"}
_FIELDS = {"id": _TEXT, "event": _TEXT, "data": _TEXT}
EVENT_STREAM: dict[str, Any] = {
    "text/event-stream": {"schema": {"type": "object", "properties": _FIELDS}}
}


class Stream(EventSourceResponse):
    """A stream of one owner.

    Args:
        content: What is sent.
        streams: Counts the open streams.
        owner: Whose stream it is.
        limits: How long a slow reader may take, and a stream after the server is stopped.
    """

    def __init__(
        self,
        content: AsyncIterator[ServerSentEvent],
        streams: Streams,
        owner: str,
        limits: Limits,
    ) -> None:
        super().__init__(
            content,
            sep="\n",
            send_timeout=limits.slow,
            shutdown_event=anyio.Event(),
            shutdown_grace_period=limits.grace + STOPPING,
        )
        self._streams, self._owner = streams, owner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream, unless there are too many already."""
        with self._streams.one(self._owner):
            try:
                await super().__call__(scope, receive, send)
            except SendTimeoutError:
                logger.info("a stream was closed: its client did not read it")


async def as_sse(events: AsyncIterator[Logged]) -> AsyncIterator[ServerSentEvent]:
    """Yield logged events as server-sent ones; an error that ends the log is an `error` event."""
    try:
        async with aclosing(events) as logged:  # type: ignore[type-var]
            async for one in logged:
                yield ServerSentEvent(id=str(one.number), event=one.event["type"], data=one.data)
    except Exception as error:
        told = as_api_error(error)
        data = json.dumps({"error": {"message": str(told), "type": told.type}})
        yield ServerSentEvent(event="error", data=data)
