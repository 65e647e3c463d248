"""The types of the events, and their JSON schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from langgraph_cooper.nodes.errors import FaultKind
from langgraph_cooper.prompts import CrisisKind

VERSION: Literal[1] = 1
"""Rises when a field changes its meaning or goes. New fields and types do not raise it."""

MOST_BYTES = 2_000
"""An event is shorter than this as JSON in UTF-8."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ENVELOPE = ("v", "type", "turn", "id")

Stage = Literal["tracker", "promoter", "progression"]
Speaker = Literal["generator", "stand_in", "guard", "other"]


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
        description="The generator; prepared sentences in place of a model that failed; the safety "
        "guard; or another node of a graph around COOPER, where its events come through subgraphs.",
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
