"""Tells a turn as events: from its run's parts, from an earlier answer, or from how it ended.

The types are in `langgraph_cooper.nodes.events`: the nodes emit most of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, Protocol

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langgraph_cooper.nodes.events import (
    MESSAGE,
    Done,
    Event,
    Speaker,
    Token,
    TurnStarted,
    as_event,
    pieces,
    reply_event,
    short_id,
    shortened,
    sound,
    turn_of,
)
from langgraph_cooper.nodes.generator import STANDS_IN
from langgraph_cooper.nodes.language.thoughts import ThoughtFilter
from langgraph_cooper.nodes.reply_guard import speaker
from langgraph_cooper.prompts import CooperError

SPEAKER = "generator"
SPEAKERS = ("guard", SPEAKER, "reply_guard")
"""The nodes whose words are for the person."""

MODES = ["custom", "messages", "values"]
"""The streams of LangGraph that the events are made from."""

Ending = Literal["completed", "interrupted", "stopped", "failed"]


class Answer(Protocol):
    """The answer to a message."""

    @property
    def message(self) -> AIMessage | None:
        """The answer, if there is one."""

    @property
    def state(self) -> Mapping[str, Any]:
        """The thread's state."""


class Call(Protocol):
    """What is told of a call of `Turns`."""

    found: Any
    again: bool
    caught_up: bool

    @property
    def asked(self) -> HumanMessage | None:
        """The message that is sent, if any."""

    def answer(self, values: Mapping[str, Any]) -> Answer:
        """Return the answer in a thread's state."""


class Telling:
    """Makes the events of one turn.

    Args:
        call: The call of `Turns`.
        on_state: Called with each state of the thread.
        subgraphs: Whether the parts have those of the graph's subgraphs: then every reply of
            COOPER's is heard, and another one is another node's.
    """

    def __init__(
        self,
        call: Call,
        on_state: Callable[[Mapping[str, Any]], None] | None = None,
        *,
        subgraphs: bool = False,
    ) -> None:
        self._state: Mapping[str, Any] = {}
        self._on_state = on_state
        self._call, self._again = call, call.again
        self._began = time.perf_counter()
        self._turn = turn_of([call.asked] if call.asked else [])
        self._started = self._interrupted = False
        self._spoken: list[str] = []  # the pieces of this attempt
        self._attempt = 0
        self._thoughts = ThoughtFilter()
        self._speaker: str | None = None
        self._replaced = False
        self._subgraphs, self._told = subgraphs, set[str | None]()  # ids of COOPER's replies

    def hear(self, part: Mapping[str, Any]) -> Iterator[Event]:
        """Yield the events in a part of the run's stream."""
        if part["type"] == "values":
            if not part["ns"]:
                self._interrupted = bool(part.get("interrupts"))
                self._see(part["data"])
                yield from self._start()
        elif part["type"] == "custom":
            event = as_event(part["data"])
            if event and event.type == "reply":  # it is told at the end, from the state
                self._told.add(event.message_id)
            elif event:
                yield event.model_copy(update={"again": True}) if self._again else event
        else:
            yield from self._words(*part["data"])

    def end(self) -> Iterator[Event]:
        """Yield the reply and the end of a turn that ran to its end, or had been answered."""
        repeated = self._call.found is not None
        answer = self._call.found if repeated else self._call.answer(self._state)
        if repeated:
            self._see(answer.state)
        yield from self._start()
        yield from self._say(self._thoughts.end())
        if answer.message is not None:
            yield from self._complete(answer.message.text)
            told = reply_event(self._turn, answer.message, self._by(answer.message))
            yield told.model_copy(update={"repeated": repeated, "again": self._again})
        yield self._done("interrupted" if self._interrupted else "completed")

    def _by(self, message: AIMessage) -> Speaker:
        """Return who made a reply. One that an earlier run made was not heard."""
        by = speaker(message)
        heard = self._subgraphs and not self._again
        if by == "generator" and heard and short_id(message.id) not in self._told:
            return "other"
        return by

    def stopped(self) -> Iterator[Event]:
        """Yield the end of a turn that was stopped."""
        yield self._done("stopped")

    def failed(self, error: Exception) -> Iterator[Event]:
        """Yield the end of a turn that failed after its message was stored."""
        if self._started:
            known = isinstance(error, CooperError)
            told = str(error) if known else f"the turn failed with {type(error).__name__}"
            yield self._done("failed", shortened(told, MESSAGE))

    def _see(self, state: Mapping[str, Any]) -> None:
        self._state = state
        if self._on_state:
            self._on_state(state)

    def _start(self) -> Iterator[Event]:
        if self._started:
            return
        self._started = True
        messages: list[BaseMessage] = list(self._state.get("messages", []))
        found = self._call.found is not None
        self._again = self._call.again or found  # known only now
        asked = self._call.asked if found else None
        asked = asked or next((m for m in reversed(messages) if isinstance(m, HumanMessage)), None)
        self._turn = turn_of([asked] if asked else [])
        yield TurnStarted(
            turn=self._turn,
            id=f"{self._turn}:started",
            again=self._again,
            message_id=short_id(asked.id if asked else None),
            caught_up=self._call.caught_up,
        )

    def _words(self, chunk: Any, metadata: Mapping[str, Any]) -> Iterator[Event]:
        node = metadata.get("langgraph_node")
        if not (isinstance(chunk, AIMessage) and chunk.text and node in SPEAKERS):
            return
        self._speaker = self._speaker or node
        replaced = STANDS_IN in metadata or node != self._speaker
        if replaced != self._replaced:  # another reply begins
            yield from self._say(self._thoughts.end())
            self._thoughts, self._replaced = ThoughtFilter(), replaced
            self._anew()
        yield from self._say(self._thoughts.feed(chunk.text))

    def _anew(self) -> None:
        if self._spoken:
            self._attempt += 1
            self._spoken = []

    def _say(self, text: str) -> Iterator[Event]:
        for piece in pieces(text):
            number = len(self._spoken)
            self._spoken.append(piece)
            yield Token(
                turn=self._turn,
                id=f"{self._turn}:token:{self._attempt}:{number}",
                again=self._again,
                text=piece,
                attempt=self._attempt,
            )

    def _complete(self, text: str) -> Iterator[Event]:
        """Let the pieces be the final reply, which may have been told in part, or not at all."""
        text, told = sound(text), "".join(self._spoken)
        if not text.startswith(told):
            self._anew()
            told = ""
        yield from self._say(text[len(told) :])

    def _done(self, status: Ending, error: str | None = None) -> Done:
        guard = self._state.get("guard") or {}
        return Done(
            turn=self._turn,
            id=f"{self._turn}:done",
            again=self._again,
            status=status,
            error=error,
            pinned=guard.get("pinned"),
            seconds=round(time.perf_counter() - self._began, 3),
        )
