"""Makes the events of what the nodes did."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from langchain_core.messages import BaseMessage, HumanMessage
from pydantic import BaseModel

from langgraph_cooper.nodes.events.shortening import shortened, size, sound
from langgraph_cooper.nodes.events.types import (
    AgentEvent,
    FaultEvent,
    HelpEvent,
    Proposal,
    Ranked,
    RankingEvent,
    ReplyEvent,
    Speaker,
    Stage,
)
from langgraph_cooper.nodes.state import AspectReport, Candidate, Fault, GuardState, RankedCandidate
from langgraph_cooper.prompts import PASSIVE

OPENING = "opening"
MOST_ID = 300  # characters of a message's id
# Bytes, as JSON, of the parts of an event; what is around them takes up to 600.
TEXT, REPLY, TOPIC, STRATEGY, MESSAGE, LISTED = 1_200, 1_400, 480, 120, 900, 1_300

Item = TypeVar("Item", bound=BaseModel)


def turn_of(messages: Sequence[BaseMessage]) -> str:
    """Return the id of the turn that answers the last of the user's messages."""
    asked = (m.id for m in reversed(messages) if isinstance(m, HumanMessage))
    text = next(asked, None) or OPENING
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=6).hexdigest()


def candidate_id(aspect: str, topic: str) -> str:
    """Return the id by which a ranking refers to a candidate."""
    text = f"{aspect}\0{topic}".encode("utf-8", "replace")
    return hashlib.blake2b(text, digest_size=4).hexdigest()


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
