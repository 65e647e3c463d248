"""A turn as a client shows it: the words for the person as they come, then a record of the turn."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from contextlib import aclosing, closing
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import StateSnapshot

from langgraph_cooper.graph.threads.asked import Said, is_unfinished
from langgraph_cooper.graph.threads.turns import Turns
from langgraph_cooper.nodes.candidates import completed
from langgraph_cooper.nodes.events import Done, Event, ReplyEvent
from langgraph_cooper.nodes.language.history import speaker_of, text_of
from langgraph_cooper.nodes.state import Fault, GuardState
from langgraph_cooper.prompts import TaskSpec

GUARD = ("tier", "kind", "pinned")
RANKED = ("rank", "score", "aspect", "strategy", "topic")
EXPLAINED = ("share", "calibration", "lift")
"""With calibrated coordination."""


class SpokenTurn:
    """A turn of a conversation, run through `Turns.events`. Iterate over it once, sync or async.

    It yields the words for the person as they come, without the thoughts of a reasoning model. If a
    model breaks off after some words were shown, it yields None and then the words that replace
    them: words on a screen cannot be taken back. To leave early, close the iterator, so that the
    thread is free at once: `with closing(iter(turn)) as pieces`, or `aclosing(aiter(turn))`.

    Example:
        turn = SpokenTurn(turns, task, "anna", HumanMessage("I lost my job.", id="message-1"))
        for piece in turn:
            print(" [cut off] " if piece is None else piece, end="")
        print(turn.record())

    Args:
        turns: Runs the turn. See `Turns.events` for the other arguments and the errors.
        task: The task of the conversation.

    Attributes:
        on_event: Called with every event, before its words are yielded. Set it beforehand.
        state: The latest state of the thread; the final one after the iteration.
        reply: The event of the reply, once it has come.
        done: The last event, once it has come.
        again: Whether the answer had been given earlier: no turn was run.
        by_guard: Whether the guard answered. No agent ran: their reports are those of an earlier
            turn.
        seconds: The duration of the turn.
    """

    def __init__(
        self,
        turns: Turns,
        task: TaskSpec,
        thread_id: str,
        message: Said = None,
        *,
        context: Any = None,
        config: RunnableConfig | None = None,
        catch_up: bool = True,
    ) -> None:
        self.on_event: Callable[[Event], None] = lambda _: None
        self.state: Mapping[str, Any] = {}
        self.reply: ReplyEvent | None = None
        self.done: Done | None = None
        self.by_guard = self.again = False
        self.seconds = 0.0
        self._turns, self._task = turns, task
        self._given = thread_id, message
        self._options: dict[str, Any] = {"context": context, "config": config}
        self._options |= {"catch_up": catch_up, "on_state": self._see}
        self._attempt = 0

    def __iter__(self) -> Generator[str | None, None, None]:
        began = time.perf_counter()
        with closing(self._turns.events(*self._given, **self._options)) as events:
            for event in events:
                yield from self._hear(event)
        self.seconds = time.perf_counter() - began

    async def __aiter__(self) -> AsyncGenerator[str | None, None]:
        began = time.perf_counter()
        async with aclosing(self._turns.aevents(*self._given, **self._options)) as events:
            async for event in events:
                for piece in self._hear(event):
                    yield piece
        self.seconds = time.perf_counter() - began

    def _see(self, state: Mapping[str, Any]) -> None:
        self.state = state

    def _hear(self, event: Event) -> Iterator[str | None]:
        self.on_event(event)
        if event.type == "token":
            if event.attempt != self._attempt:
                self._attempt = event.attempt
                yield None
            yield event.text
        elif event.type == "help":
            self.by_guard = event.tier == "certain"
        elif event.type == "reply":
            self.reply, self.again = event, event.repeated
        elif event.type == "done":
            self.done = event

    def record(self) -> dict[str, Any]:
        """Return the turn as plain JSON values: a line of `cooper chat --json`."""
        spoken = [message for message in self.state["messages"] if speaker_of(message)]
        heard = self.reply and self.reply.message_id
        # An answer that was given earlier need not be the last one.
        place = next((n for n, m in enumerate(spoken) if m.id == heard), len(spoken) - 1)
        before = spoken[place - 1] if place > 0 else None
        guard: GuardState = self.state.get("guard") or GuardState()
        names = () if self.by_guard else self._task.aspect_names
        return {
            "turn": self.state["cooper"]["round"],
            "user": text_of(before) if before and speaker_of(before) == "user" else None,
            "reply": text_of(spoken[place]),
            "guard": {key: guard[key] for key in GUARD if key in guard},  # type: ignore[literal-required]
            "aspects": {n: _aspect(self.state.get(n, {}), n) for n in names},
            "ranking": [
                {
                    **{key: ranked[key] for key in RANKED},
                    **{key: ranked[key] for key in EXPLAINED if key in ranked},
                }
                for ranked in self.state.get("ranking", [])
            ],
            "faults": [
                {"aspect": name, **fault} for name, fault in faults_of(self._task, self.state)
            ],
            "seconds": round(self.seconds, 3),
        }


def _aspect(report: Mapping[str, Any], name: str) -> dict[str, Any]:
    targets = report.get("targets") or []
    return {
        "state": report.get("state", ""),
        "progress": report.get("progress", 0.0),
        "target": targets[0]["text"] if targets else None,
        "candidates": [  # a person may have left a topic's text alone
            {"topic": c["topic"], "strategy": c["strategy"]}
            for c in completed(report.get("candidates") or [], name)
        ],
    }


def faults_of(task: TaskSpec, state: Mapping[str, Any]) -> list[tuple[str | None, Fault]]:
    """Return the faults of the last turn, each with the aspect of its agent or None."""
    agents = [(n, f) for n in task.aspect_names for f in state.get(n, {}).get("faults", [])]
    return [*agents, *((None, fault) for fault in state.get("cooper", {}).get("faults", []))]


def system_is_due(task: TaskSpec, snapshot: StateSnapshot) -> bool:
    """Return whether the system speaks next although nothing new is said (a message of None).

    That is so where a turn was cut, where the user's last message has no answer (a person may have
    edited the thread), and where the system opens the conversation.
    """
    speakers = [speaker_of(message) for message in snapshot.values.get("messages", [])]
    last = next((speaker for speaker in reversed(speakers) if speaker), None)
    if is_unfinished(snapshot) or last == "user":
        return True
    return task.opens == "system" and last is None
