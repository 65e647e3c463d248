"""The routes of threads."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response, status
from langchain_core.messages import BaseMessage, HumanMessage

from langgraph_cooper.graph.server.depends import Owner, OwnersRoute, Served
from langgraph_cooper.graph.server.errors import ApiError, documented
from langgraph_cooper.graph.server.models import (
    Aspect,
    Choice,
    Fork,
    NewThread,
    Spoken,
    Threads,
    ThreadState,
    ThreadSummary,
    TurnSummary,
)
from langgraph_cooper.graph.server.records import Status, Thread, Turn
from langgraph_cooper.graph.server.served import EditedTopic, ServedTask
from langgraph_cooper.graph.server.service import Service
from langgraph_cooper.graph.threads.asked import is_unfinished
from langgraph_cooper.nodes.events import turn_of
from langgraph_cooper.nodes.language.history import speaker_of, text_of

router = APIRouter(prefix="/threads", tags=["threads"], route_class=OwnersRoute)

GUARD = ("tier", "kind", "pinned")


@router.post("", status_code=status.HTTP_201_CREATED, responses=documented(404))
async def begin_thread(body: NewThread, service: Served, owner: Owner) -> ThreadSummary:
    """Begin a conversation; the server gives it an id."""
    task = service.task(body.task or next(iter(service.tasks)))
    return _summary(await service.new_thread(owner, task.spec.name))


@router.get("", responses=documented())
async def list_threads(
    service: Served,
    owner: Owner,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Threads:
    """List your threads, the last used first."""
    found = await service.records.threads(owner, limit, offset)
    return Threads(threads=[_summary(thread) for thread in found])


@router.get("/{thread_id}", responses=documented(404))
async def read_thread(thread_id: str, service: Served, owner: Owner) -> ThreadState:
    """Read a conversation, and a summary of its state."""
    thread = await service.thread(thread_id, owner)
    task = service.task(thread.task)
    snapshot = await task.state(thread.id)
    values = snapshot.values
    ranking = values.get("ranking") or []
    said = _spoken(values.get("messages", []))
    return ThreadState(
        **_summary(thread).model_dump(),
        messages=said,
        unfinished=is_unfinished(snapshot),
        aspects=_aspects(task, values),
        ranking=[Choice(**{k: one[k] for k in Choice.model_fields}) for one in ranking[:10]],
        guard={k: v for k, v in (values.get("guard") or {}).items() if k in GUARD},
        turns=await _turns(service, thread, said),
    )


@router.post(
    "/{thread_id}/fork", status_code=status.HTTP_201_CREATED, responses=documented(404, 409)
)
async def fork_thread(thread_id: str, body: Fork, service: Served, owner: Owner) -> ThreadSummary:
    """Copy a conversation up to a turn into a new thread, with another topic on request."""
    thread = await service.thread(thread_id, owner)
    place, checkpoint = thread, body.checkpoint
    if body.turn:
        place, turn = await _origin(service, thread, body.turn)
        checkpoint = turn.checkpoint if turn else None
        if checkpoint is None:
            raise ApiError(409, "not_completed", "that turn has no end yet: name a completed one")
    if body.topic and not body.topic.topic:
        # No JSON schema can tell which characters are seen.
        raise ApiError(409, "no_topic", "the topic has no visible characters: write a few words")
    edited = EditedTopic(**body.topic.model_dump()) if body.topic else None

    async def copying(task: ServedTask, to: str) -> None:
        await task.copy(place.id, checkpoint, to, edited)

    return _summary(await service.copied(thread, copying))


@router.delete(
    "/{thread_id}", status_code=status.HTTP_204_NO_CONTENT, responses=documented(404, 409)
)
async def delete_thread(thread_id: str, service: Served, owner: Owner) -> Response:
    """Stop a thread's turn, and delete all that is kept of the thread."""
    await service.delete(await service.thread(thread_id, owner))
    return Response(status_code=status.HTTP_204_NO_CONTENT)


def _summary(thread: Thread) -> ThreadSummary:
    return ThreadSummary(**{name: getattr(thread, name) for name in ThreadSummary.model_fields})


async def _origin(service: Service, thread: Thread, turn: str) -> tuple[Thread, Turn | None]:
    """Return the thread that a turn ran on, and the turn.

    A copy holds the messages of the turns before it was made, and their states stay with the
    threads that it was copied from.

    Raises:
        ApiError: The thread holds no such turn (404).
    """
    if not await service.records.turn(thread.id, turn):
        values = (await service.task(thread.task).state(thread.id)).values
        said = _spoken(values.get("messages", []))
        if turn in {line.turn or turn_of([]) for line in said if line.role == "assistant"}:
            async for older in service.ancestors(thread):
                if found := await service.records.turn(older.id, turn):
                    return older, found
    return thread, await service.turn(thread, turn)


def _spoken(messages: list[BaseMessage]) -> list[Spoken]:
    told: list[Spoken] = []
    turn: str | None = None
    for message in messages:
        speaker = speaker_of(message)
        if isinstance(message, HumanMessage):
            turn = turn_of([message])
        if speaker:
            role: Any = "user" if speaker == "user" else "assistant"
            told.append(Spoken(id=message.id, role=role, text=text_of(message), turn=turn))
    return told


def _aspects(task: ServedTask, values: dict[str, Any]) -> dict[str, Aspect]:
    reports = {name: values.get(name) or {} for name in task.spec.aspect_names}
    return {
        name: Aspect(state=report.get("state", ""), progress=report.get("progress", 0.0))
        for name, report in reports.items()
    }


async def _turns(service: Service, thread: Thread, said: list[Spoken]) -> list[TurnSummary]:
    """Return the turns of a thread. A later turn may have answered one that was cut."""
    found = await service.records.turns(thread.id)
    answered = {line.turn for line in said if line.role == "assistant"}
    elsewhere = [
        turn.id
        for turn in found
        if turn.status == "running" and not service.runs.running(thread.id, turn.id)
    ]
    lost = elsewhere if elsewhere and not await service.runs.is_locked(thread.id) else []

    def status(turn: Turn) -> Status:
        known: Status = "failed" if turn.id in lost else turn.status
        return "completed" if turn.id in answered and known in ("failed", "stopped") else known

    return [
        TurnSummary(id=t.id, status=status(t), began=t.began, checkpoint=t.checkpoint)
        for t in found
    ]
