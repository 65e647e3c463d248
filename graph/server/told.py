"""An answer as a whole, put together from the events of its turn."""

from __future__ import annotations

from collections.abc import AsyncIterable
from dataclasses import dataclass, field
from typing import Any

from langgraph_cooper.graph.server.records import Logged


@dataclass
class Told:
    """What the events of a turn told so far.

    Attributes:
        status: How it ended; None while it runs.
        reply: The reply event, if there is one.
        pinned: Where help is, to be kept in view.
        error: Why it failed.
    """

    status: str | None = None
    reply: dict[str, Any] | None = None
    pinned: str | None = None
    error: str | None = None
    _attempt: int = 0
    _words: list[str] = field(default_factory=list)

    def hear(self, event: dict[str, Any]) -> None:
        """Take the next event."""
        kind = event["type"]
        if kind == "turn_started":  # a turn that is resumed begins again
            self._attempt, self._words = 0, []
            self.status = self.reply = self.error = None
        elif kind == "token":
            if event["attempt"] != self._attempt:
                self._attempt, self._words = event["attempt"], []
            self._words.append(event["text"])
        elif kind == "reply":
            self.reply = event
        elif kind == "done":
            self.status, self.pinned = event["status"], event.get("pinned")
            self.error = event.get("error")

    @property
    def text(self) -> str | None:
        """The whole reply, which may be longer than an event."""
        if self.reply is None:
            return None
        return "".join(self._words) if self.reply["shortened"] else str(self.reply["text"])


async def told_of(events: AsyncIterable[Logged]) -> Told:
    """Wait for the end of a turn, and return what was told."""
    told = Told()
    async for logged in events:
        told.hear(logged.event)
    return told
