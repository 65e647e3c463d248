"""The events of a turn: small, typed, for any client; none holds a draft or a model's own words.

They are defined beside the nodes, which emit them; `Turns.events` adds the beginning, the words,
the reply and the end. See docs/events.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from langchain_core.callbacks import (
    AsyncCallbackHandler,
    BaseCallbackHandler,
    BaseCallbackManager,
)
from langchain_core.callbacks.manager import adispatch_custom_event, dispatch_custom_event
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.types import StreamWriter
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from langgraph_cooper.nodes.errors import FaultKind
from langgraph_cooper.nodes.state import AspectReport, Candidate, Fault, GuardState, RankedCandidate
from langgraph_cooper.prompts import PASSIVE, CrisisKind

VERSION: Literal[1] = 1
"""Rises when a field changes its meaning or goes. New fields and types do not raise it."""

MOST_BYTES = 2_000
"""An event is shorter than this as JSON in UTF-8."""

NAME = "cooper"
"""The name of the events among LangChain's custom events."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"
OPENING = "opening"
MOST_ID = 300  # characters of a message's id
MARK = "…"  # at the end of a text that was shortened
# Bytes, as JSON, of the parts of an event; what is around them takes up to 600.
TEXT, REPLY, TOPIC, STRATEGY, MESSAGE, PIECE, LISTED = 1_200, 1_400, 480, 120, 900, 1_000, 1_300
ENVELOPE = ("v", "type", "turn", "id")

Stage = Literal["tracker", "promoter", "progression"]
Speaker = Literal["generator", "stand_in", "guard"]
Item = TypeVar("Item", bound=BaseModel)


def _require(schema: dict[str, Any]) -> None:
    schema["required"] = sorted({*ENVELOPE, *schema.get("required", [])})


class Part(BaseModel):
    """A frozen part of an event. Clients ignore the fields that they do not know."""

    model_config = ConfigDict(frozen=True)


class EventBase(Part):
    """The fields that all events have."""

    model_config = ConfigDict(frozen=True, json_schema_extra=_require)

    v: Literal[1] = Field(default=VERSION, description="The version of the events.")
    turn: str = Field(description="The turn: a hash of its message's id, so it outlives a crash.")
    id: str = Field(
        description="The event: its turn and its place there. The same thing told again has the "
        "same id."
    )
    again: bool = Field(
        default=False,
        description="Whether an event of this id may have come before: the turn is resumed, or "
        "its answer repeated. The later one holds. Only `Turns` knows.",
    )

    def as_dict(self) -> dict[str, Any]:
        """Return the event as plain JSON values, without the fields that are empty."""
        return self.model_dump(exclude_none=True)

    def as_json(self) -> str:
        """Return the event as one line of JSON."""
        return self.model_dump_json(exclude_none=True)


class TurnStarted(EventBase):
    """The message is stored, and the turn begins."""

    type: Literal["turn_started"] = "turn_started"
    message_id: str | None = Field(
        default=None,
        description="The message that is answered; none where the system opens, or where the id "
        "is longer than 300 characters.",
    )
    caught_up: bool = Field(
        default=False,
        description="Whether an earlier turn, which was cut, was tried again first: the thread "
        "may hold its reply, which no event of this turn tells.",
    )


class Proposal(Part):
    """A topic candidate that an agent proposes."""

    id: str = Field(description="A hash of its aspect and topic; rankings refer to it.")
    topic: str
    strategy: str


class AgentEvent(EventBase):
    """A stage of an agent began or was completed."""

    type: Literal["agent"] = "agent"
    aspect: str
    stage: Stage
    status: Literal["started", "completed"]
    replaced: bool = Field(
        default=False, description="Whether it failed and something else is used; see `fault`."
    )
    text: str | None = Field(
        default=None,
        description="Of the completed tracker its state summary, of the progression analysis the "
        "nearest target state.",
    )
    shortened: bool = Field(default=False, description="Whether the text is longer in the state.")
    progress: float | None = Field(default=None, description="Of the progression analysis: 0 to 1.")
    candidates: list[Proposal] | None = Field(
        default=None, description="Of the completed promoter. The parts of the event share them."
    )
    part: int = Field(default=1, description="Its number, where the candidates need several.")
    parts: int = 1


class Ranked(Part):
    """A candidate in the ranking."""

    id: str = Field(description="As in the promoter's event.")
    rank: int
    score: float
    aspect: str = Field(description='The aspect, or "passive".')
    chosen: bool = Field(default=False, description="Whether it is one of the K for the generator.")
    topic: str | None = Field(
        default=None, description="Of the chosen candidates, and of those that no agent proposed."
    )
    strategy: str | None = None


class RankingEvent(EventBase):
    """All candidates, best first."""

    type: Literal["ranking"] = "ranking"
    candidates: list[Ranked] = Field(description="The parts of the event share them, in order.")
    part: int = 1
    parts: int = 1


class Token(EventBase):
    """A piece of the reply. All pieces of the last attempt together are the reply."""

    type: Literal["token"] = "token"
    text: str
    attempt: int = Field(
        default=0,
        description="Rises where another reply begins: the pieces before it do not count.",
    )


class ReplyEvent(EventBase):
    """The final reply, as it is in the thread: once in each turn that has one."""

    type: Literal["reply"] = "reply"
    text: str
    shortened: bool = Field(
        default=False, description="Whether it goes on: the tokens of the last attempt have it all."
    )
    message_id: str | None = None
    by: Speaker = Field(
        default="generator",
        description="The generator; prepared sentences in place of a model that failed; or the "
        "safety guard.",
    )
    repeated: bool = Field(
        default=False, description="Whether it was given earlier, and no turn was run."
    )


class FaultEvent(EventBase):
    """A step failed, and the turn went on with something else."""

    type: Literal["fault"] = "fault"
    aspect: str | None = None
    step: str
    kind: FaultKind
    message: str


class HelpEvent(EventBase):
    """The safety guard names help: show it, and keep it in view."""

    type: Literal["help"] = "help"
    tier: Literal["concern", "certain"]
    kind: CrisisKind
    text: str = Field(description="The guard's answer, or where help is in case of a concern.")
    lines: list[str] = Field(description='Where help is; each completes "Please ...".')


class Done(EventBase):
    """The last event of every turn."""

    type: Literal["done"] = "done"
    status: Literal["completed", "interrupted", "stopped", "failed"] = Field(
        description='"interrupted": a person is asked; "stopped" or "failed": the message is '
        "stored, and the next call on the thread answers it."
    )
    error: str | None = Field(default=None, description="Why it failed, in a sentence.")
    pinned: str | None = Field(
        default=None, description="Where help is, to be kept in view; if missing, show none."
    )
    seconds: float = Field(default=0.0, description="The duration of the turn.")


Event: TypeAlias = (
    TurnStarted | AgentEvent | RankingEvent | Token | ReplyEvent | FaultEvent | HelpEvent | Done
)
"""Any event; `type` tells which."""

EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])


def event_schema() -> dict[str, Any]:
    """Return the JSON schema of an event."""
    title = {
        "$schema": DIALECT,
        "title": "An event of COOPER",
    }
    return {**title, **EVENT.json_schema()}


def as_event(data: Any) -> Event | None:
    """Return the event in a part of LangGraph's "custom" stream, or None if it holds another's."""
    if isinstance(data, Mapping) and data.get("v") == VERSION and {*ENVELOPE} <= data.keys():
        return EVENT.validate_python(data)
    return None


# Making events ---------------------------------------------------------------------------------


def turn_of(messages: Sequence[BaseMessage]) -> str:
    """Return the id of the turn that answers the last of the user's messages."""
    asked = (m.id for m in reversed(messages) if isinstance(m, HumanMessage))
    text = next(asked, None) or OPENING
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=6).hexdigest()


def candidate_id(aspect: str, topic: str) -> str:
    """Return the id by which a ranking refers to a candidate."""
    text = f"{aspect}\0{topic}".encode("utf-8", "replace")
    return hashlib.blake2b(text, digest_size=4).hexdigest()


def size(text: str) -> int:
    """Return the bytes of a text as JSON in UTF-8."""
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8"))


def _is_short(text: str, most: int) -> bool:
    """Return quickly whether a text is short for certain: JSON takes up to 6 bytes a letter."""
    return text.isascii() and 6 * len(text) + 2 <= most


def sound(text: str) -> str:
    """Return the text with a question mark for what no encoding can write."""
    return text.encode("utf-8", "replace").decode("utf-8")


def shortened(text: str, most: int) -> str:
    """Return a text of at most `most` bytes as JSON; a shortened one ends in "…"."""
    if _is_short(text, most):
        return text
    text = sound(text)
    if (now := size(text)) <= most:
        return text
    while now > most - 3:
        text = text[: min(len(text) - 1, len(text) * (most - 3) // now)]
        now = size(text)
    return text.rstrip() + MARK


def pieces(text: str, most: int = PIECE) -> Iterator[str]:
    """Cut a text into pieces of at most `most` bytes as JSON."""
    if text and _is_short(text, most):
        yield text
        return
    text = sound(text)
    while text:
        room = len(text)
        while (now := size(text[:room])) > most:
            room = max(1, min(room - 1, room * most // now))
        yield text[:room]
        text = text[room:]


def stage_started(turn: str, aspect: str, stage: Stage) -> AgentEvent:
    """Return the event of the beginning of an agent's stage."""
    id = f"{turn}:{aspect}:{stage}:started"
    return AgentEvent(turn=turn, id=id, aspect=aspect, stage=stage, status="started")


def stage_completed(
    turn: str, aspect: str, stage: Stage, update: AspectReport
) -> list[AgentEvent | FaultEvent]:
    """Return the events of the end of an agent's stage: its result, and its fault before that.

    Args:
        turn: The turn's id.
        aspect: The agent's aspect.
        stage: The stage.
        update: The fields of the report that the stage wrote.
    """
    id = f"{turn}:{aspect}:{stage}"
    fault = next((f for f in update.get("faults", []) if f["step"] == stage), None)
    common: dict[str, Any] = {
        "turn": turn, "aspect": aspect, "stage": stage, "status": "completed",
        "replaced": fault is not None,
    }  # fmt: skip
    told: list[AgentEvent | FaultEvent] = [fault_event(turn, fault, aspect)] if fault else []
    if stage == "promoter":
        listed = [_proposal(aspect, c) for c in update.get("candidates", [])]
        parts = list(_split(listed)) or [[]]
        for n, part in enumerate(parts, start=1):
            place = {"part": n, "parts": len(parts), "candidates": part}
            told.append(AgentEvent(id=f"{id}:completed:{n}", **common, **place))
        return told
    if stage == "tracker":
        text = update.get("state", "")
    else:
        text = next((target["text"] for target in update.get("targets", [])), "")
    short = shortened(text, TEXT)
    told.append(
        AgentEvent(
            id=f"{id}:completed",
            text=short,
            shortened=short != sound(text),
            progress=update.get("progress") if stage == "progression" else None,
            **common,
        )
    )
    return told


def _proposal(aspect: str, candidate: Candidate) -> Proposal:
    return Proposal(
        id=candidate_id(aspect, candidate["topic"]),
        topic=shortened(candidate["topic"], TOPIC),
        strategy=shortened(candidate["strategy"], STRATEGY),
    )


def ranking_events(
    turn: str, ranking: Sequence[RankedCandidate], chosen: Sequence[RankedCandidate]
) -> list[RankingEvent]:
    """Return a ranking as events.

    Args:
        turn: The turn's id.
        ranking: All candidates, best first.
        chosen: Those that the generator is given.
    """
    ranks = {candidate["rank"] for candidate in chosen}
    listed = [_ranked(candidate, candidate["rank"] in ranks) for candidate in ranking]
    parts = list(_split(listed)) or [[]]
    return [
        RankingEvent(turn=turn, id=f"{turn}:ranking:{n}", candidates=part, part=n, parts=len(parts))
        for n, part in enumerate(parts, start=1)
    ]


def _ranked(candidate: RankedCandidate, chosen: bool) -> Ranked:
    named = chosen or candidate["aspect"] == PASSIVE
    return Ranked(
        id=candidate_id(candidate["aspect"], candidate["topic"]),
        rank=candidate["rank"],
        score=candidate["score"],
        aspect=candidate["aspect"],
        chosen=chosen,
        topic=shortened(candidate["topic"], TOPIC) if named else None,
        strategy=shortened(candidate["strategy"], STRATEGY) if named else None,
    )


def _split(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Divide items into lists that fit into an event."""
    part: list[Item] = []
    taken = 0
    for item in items:
        wide = len(item.model_dump_json(exclude_none=True).encode("utf-8")) + 1
        if part and taken + wide > LISTED:
            yield part
            part, taken = [], 0
        part.append(item)
        taken += wide
    if part:
        yield part


def fault_event(turn: str, fault: Fault, aspect: str | None = None) -> FaultEvent:
    """Return the event of a fault."""
    return FaultEvent(
        turn=turn,
        id=f"{turn}:fault:{aspect or ''}:{fault['step']}",
        aspect=aspect,
        step=fault["step"],
        kind=fault["kind"],
        message=shortened(fault["message"], MESSAGE),
    )


def help_event(turn: str, guard: GuardState, text: str, lines: Sequence[str]) -> HelpEvent:
    """Return the event of the guard's help in a concern or a crisis."""
    tier = "certain" if guard["tier"] == "certain" else "concern"
    texts = [shortened(line, STRATEGY * 2) for line in lines]
    return HelpEvent(
        turn=turn, id=f"{turn}:help", tier=tier, kind=guard["kind"],
        text=shortened(text, MESSAGE), lines=texts,
    )  # fmt: skip


def reply_event(turn: str, message: BaseMessage, by: Speaker) -> ReplyEvent:
    """Return the event of a final reply."""
    short = shortened(message.text, REPLY)
    return ReplyEvent(
        turn=turn,
        id=f"{turn}:reply",
        text=short,
        shortened=short != sound(message.text),
        message_id=short_id(message.id),
        by=by,
    )


def short_id(id: str | None) -> str | None:
    """Return a message's id unless it is too long for an event."""
    return id if id and len(id) <= MOST_ID and size(id) <= MOST_ID + 2 else None


# Emitting them ---------------------------------------------------------------------------------

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
