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
    _attempts: list[list[str]] = field(default_factory=list)
    _number: int | None = None

    def hear(self, event: dict[str, Any]) -> None:
        """Take the next event."""
        kind = event["type"]
        if kind == "turn_started":  # a turn that is resumed begins again
            self._attempts, self._number = [], None
            self.status = self.reply = self.error = None
        elif kind == "token":
            if event["attempt"] != self._number:
                self._number = event["attempt"]
                self._attempts.append([])
            self._attempts[-1].append(event["text"])
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
        if self.reply["shortened"] and self._attempts:
            return "".join(self._attempts[-1])
        return str(self.reply["text"])

    @property
    def shown(self) -> str:
        """All words that a client was shown that takes none back."""
        return "\n\n".join("".join(words) for words in self._attempts)


async def told_of(events: AsyncIterable[Logged]) -> Told:
    """Wait for the end of a turn, and return what was told."""
    told = Told()
    async for logged in events:
        told.hear(logged.event)
    return told
