"""The routes of turns: a message, the events of its answer, and stop."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Header, Response, status
from fastapi.responses import JSONResponse
from langchain_core.messages import HumanMessage

from langgraph_cooper.graph.server.depends import LastEventId, Owner, OwnersRoute, Served
from langgraph_cooper.graph.server.errors import ApiError, documented
from langgraph_cooper.graph.server.models import NewTurn, Stopped, TurnAnswer
from langgraph_cooper.graph.server.service import Answering, Service
from langgraph_cooper.graph.server.sse import EVENT_STREAM, Stream, as_sse
from langgraph_cooper.graph.server.told import Told, told_of

router = APIRouter(prefix="/threads/{thread_id}/turns", tags=["turns"], route_class=OwnersRoute)

EVENTS = "text/event-stream"
Accept = Annotated[str, Header()]
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The events of the turn (see `cooper events`), each with its number as id; "
        "with `Accept: application/json` the whole answer.",
        "model": TurnAnswer,
        "content": EVENT_STREAM,
    }
}


@router.post("", response_model=None, responses={**documented(404, 409, 502), **STREAMED})
async def take_turn(
    thread_id: str,
    body: NewTurn,
    service: Served,
    owner: Owner,
    accept: Accept = EVENTS,
) -> Response:
    """Send a message and read the answer as a stream of events, or wait for it as JSON.

    The turn goes on if you leave: read its events again, or send the message again with its id.
    """
    thread = await service.thread(thread_id, owner)
    return await _answered(service, await service.take(thread, _message(body)), owner, accept)


@router.get(
    "/{turn_id}/events",
    response_model=None,
    responses={
        **documented(404),
        200: {"description": "The events of the turn.", "content": EVENT_STREAM},
        204: {"description": "The turn has ended, and no event follows the last one that you saw."},
    },
)
async def read_events(
    thread_id: str, turn_id: str, service: Served, owner: Owner, last: LastEventId = ""
) -> Response:
    """Read the events of a turn, from the beginning or after the last one that you saw."""
    thread = await service.thread(thread_id, owner)
    known = await service.turn(thread, turn_id)
    after = int(last or 0)
    running = service.runs.running(thread.id, turn_id) or (known and known.status == "running")
    if not running and not await service.records.events(thread.id, turn_id, after, 1):
        return Response(status_code=status.HTTP_204_NO_CONTENT)  # an EventSource stays away then
    events = service.runs.follow(thread.id, turn_id, after)
    return Stream(as_sse(events), service.streams, owner, service.settings.limits)


@router.post("/{turn_id}/stop", status_code=status.HTTP_202_ACCEPTED, responses=documented(404))
async def stop_turn(thread_id: str, turn_id: str, service: Served, owner: Owner) -> Stopped:
    """Stop a turn. Its message stays: the next turn of the thread answers it first."""
    thread = await service.thread(thread_id, owner)
    await service.turn(thread, turn_id)
    stopped = await service.runs.stop(thread.id, turn_id)
    return Stopped(thread=thread.id, turn=turn_id, stopped=stopped)


@router.post(
    "/{turn_id}/again", response_model=None, responses={**documented(404, 409, 502), **STREAMED}
)
async def answer_again(
    thread_id: str, turn_id: str, service: Served, owner: Owner, accept: Accept = EVENTS
) -> Response:
    """Answer the message of the thread's last turn anew; the new reply replaces the old one.

    The events follow those of the turn's first answer, in the same log.
    """
    thread = await service.thread(thread_id, owner)
    return await _answered(service, await service.take_again(thread, turn_id), owner, accept)


def _message(body: NewTurn) -> HumanMessage | None:
    if body.message is None:
        return None
    return HumanMessage(body.message, id=body.message_id or str(uuid4()))


async def _answered(service: Service, answering: Answering, owner: str, accept: str) -> Response:
    """Return the answer to a message: as a whole, or as a stream once the turn has begun."""
    if _wants_json(accept):
        with service.streams.one(owner):
            return await _whole(service, answering)
    await service.begun(answering)
    return Stream(
        as_sse(service.events(answering)), service.streams, owner, service.settings.limits
    )


def _wants_json(accept: str) -> bool:
    return "application/json" in accept and EVENTS not in accept


async def _whole(service: Service, answering: Answering) -> Response:
    told = await told_of(service.events(answering))
    failure = failure_of(answering, told)
    if failure:
        raise failure
    reply = told.reply or {}
    return JSONResponse(
        TurnAnswer(
            thread=answering.thread.id,
            turn=answering.turn,
            status=told.status,
            reply=told.text,
            message_id=reply.get("message_id"),
            by=reply.get("by"),
            repeated=reply.get("repeated", False),
            pinned=told.pinned,
        ).model_dump(mode="json")
    )


def failure_of(answering: Answering, told: Told) -> Exception | None:
    """Return the error of a turn without an answer."""
    if told.status not in (None, "failed"):
        return None
    if answering.run and answering.run.error:
        return answering.run.error
    return ApiError(502, "turn_failed", told.error or "the turn ended without an answer")
