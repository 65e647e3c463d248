"""What the routes share: the tasks, the store, the turns, and who asks."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from fastapi import Request
from langchain_core.messages import BaseMessage, HumanMessage
from langgraph.graph import StateGraph

from langgraph_cooper.graph.server.errors import ApiError, as_api_error, not_found
from langgraph_cooper.graph.server.limits import Rate, Streams
from langgraph_cooper.graph.server.metrics import Metrics
from langgraph_cooper.graph.server.owners import Authenticator, owner_of
from langgraph_cooper.graph.server.records import Logged, Records, Thread, Turn
from langgraph_cooper.graph.server.runs import Keep, Run, Runs, again
from langgraph_cooper.graph.server.served import ServedTask, ServedTurns
from langgraph_cooper.graph.server.settings import Settings
from langgraph_cooper.graph.server.store import Store, open_store
from langgraph_cooper.graph.threads.asked import AnswerAgain
from langgraph_cooper.graph.warm import awarm_up
from langgraph_cooper.nodes.events import turn_of
from langgraph_cooper.nodes.intake import check_text
from langgraph_cooper.prompts import CooperError, TaskSpec

logger = logging.getLogger(__name__)

HOUR = 3_600.0
Builder = StateGraph[Any, Any, Any, Any]


@dataclass(frozen=True)
class Offer:
    """A task that the server offers, before its store is open."""

    spec: TaskSpec
    builder: Builder


@dataclass(frozen=True)
class Answering:
    """A turn that answers a message: it runs here, runs elsewhere, or has ended.

    Attributes:
        run: The run, if it is in this process.
        ended: Whether the message was answered earlier: its events come from the log.
    """

    thread: Thread
    turn: str
    run: Run | None = None
    ended: bool = False


@dataclass
class Service:
    """The state of an application.

    Args:
        offers: The tasks.
        where: The store: see `open_store`.
        authenticate: Tells the owner of a request.
        settings: The operator's choices.
    """

    offers: Mapping[str, Offer]
    where: str | None
    authenticate: Authenticator
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        self.metrics = Metrics()
        self.runs = Runs(self.settings, self.metrics)
        self.streams = Streams(self.settings.limits, self.metrics)
        self.tasks: dict[str, ServedTask] = {}
        self.ready = False
        self.failure: CooperError | None = None
        self._rate = Rate(self.settings.limits.rate)
        self._refusals = Rate(self.settings.limits.refusals)
        self.records: Records

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Open the store, and load the models in the background.

        The loop's default executor is replaced. asyncio's own few OS threads would all wait for
        the guards of a few turns, and every lock and every request to a model's server behind them.
        """
        lanes = 1 + max((len(offer.spec.aspects) for offer in self.offers.values()), default=0)
        pool = ThreadPoolExecutor(lanes * self.settings.limits.turns, "turns")
        asyncio.get_running_loop().set_default_executor(pool)
        async with AsyncExitStack() as opened:
            store = await opened.enter_async_context(open_store(self.where, self.runs.hear))
            self.records = store.records
            self.runs.open(store.records, store.lock)
            for name, offer in self.offers.items():
                self.tasks[name] = self._served(offer, store)
            for work in (self._warm_up, self._tidy):
                opened.callback(asyncio.create_task(work()).cancel)
            opened.push_async_callback(self.runs.close)
            yield

    def _served(self, offer: Offer, store: Store) -> ServedTask:
        graph = offer.builder.compile(checkpointer=store.new_saver())
        wait = self.settings.limits.wait
        turns = ServedTurns(graph, store.records, lock=store.lock, wait=wait)
        return ServedTask(offer.spec, graph, turns)

    async def _warm_up(self) -> None:
        try:
            for task in self.tasks.values():
                await awarm_up(task.graph)
        except CooperError as error:
            self.failure = error
            logger.error("the models cannot be loaded: %s", error)  # noqa: TRY400
        except Exception:
            logger.exception("the models cannot be loaded")
            self.failure = ApiError(
                500, "internal_error", "the models cannot be loaded: the server's log says why"
            )
        self.ready = self.failure is None

    async def _tidy(self) -> None:
        while True:
            try:
                await self.records.forget_events(time.time() - self.settings.limits.kept)
                await self.records.sweep()
            except Exception as error:  # a database's error may hold what was said
                logger.warning(
                    "old events were not deleted (%s): the server tries again in an hour",
                    type(error).__name__,
                )
            await asyncio.sleep(HOUR)

    # Who asks --------------------------------------------------------------------------------

    async def owner(self, request: Request) -> str:
        """Return whose request it is.

        Raises:
            ApiError: Nobody's (401), or one too many (429).
        """
        found = await owner_of(self.authenticate, request.headers)
        if found is None:
            self._refusals.check(request.client.host if request.client else "")
            raise ApiError(
                401,
                "unauthenticated",
                "a token is needed: send `Authorization: Bearer ...` with one that is valid",
                {"WWW-Authenticate": "Bearer"},
            )
        self._rate.check(found)
        return found

    # Threads ---------------------------------------------------------------------------------

    def task(self, name: str) -> ServedTask:
        """Return a task that is offered.

        Raises:
            ApiError: There is none of that name (404).
        """
        if name not in self.tasks:
            raise ApiError(
                404, "not_found",
                f"there is no task {name[:80]!r} here: name one of {', '.join(self.tasks)}",
            )  # fmt: skip
        return self.tasks[name]

    async def thread(self, id: str, owner: str) -> Thread:
        """Return a thread of an owner.

        Raises:
            ApiError: There is none (404), or it is another owner's, which looks the same.
        """
        found = await self.records.thread(id, owner) if _is_hex(id, 32) else None
        if found is None:
            raise not_found("thread")
        return found

    async def turn(self, thread: Thread, id: str) -> Turn | None:
        """Return a turn of a thread that has begun, or None while it waits for another one.

        Raises:
            ApiError: There is none (404).
        """
        found = await self.records.turn(thread.id, id) if _is_hex(id, 12) else None
        if found is None and not self.runs.running(thread.id, id):
            raise not_found("turn")
        return found

    async def new_thread(self, owner: str, task: str, parent: str | None = None) -> Thread:
        """Make a thread, whose id nobody can guess."""
        now = time.time()
        thread = Thread(uuid4().hex, owner, task, now, now, parent)
        await self.records.add_thread(thread)
        return thread

    async def copied(self, thread: Thread, copying: Callable[[ServedTask, str], Any]) -> Thread:
        """Make a thread that begins with what `copying` writes to its id."""
        id, now = uuid4().hex, time.time()
        copy = Thread(id, thread.owner, thread.task, now, now, thread.id)
        await self.records.add_thread(copy)  # first: whatever is written then has an owner
        try:
            await copying(self.task(thread.task), id)
        except BaseException:
            await asyncio.shield(self.task(thread.task).turns.adelete(id))
            raise
        return copy

    async def ancestors(self, thread: Thread) -> AsyncIterator[Thread]:
        """Yield the threads that a thread was copied from, nearest first, until a deleted one."""
        at = thread
        while at.parent and (found := await self.records.thread(at.parent, at.owner)):
            yield found
            at = found

    async def delete(self, thread: Thread) -> None:
        """Delete a thread, and stop its turn first."""
        for run in self.runs.on(thread.id):
            await self.runs.stop(thread.id, run.turn)
        for turn in await self.records.turns(thread.id):
            if turn.status == "running":
                await self.runs.stop(thread.id, turn.id)
        await self.task(thread.task).turns.adelete(thread.id)
        await self.records.sweep()

    # Turns -----------------------------------------------------------------------------------

    async def take(
        self, thread: Thread, message: HumanMessage | None, keep: Keep | None = None
    ) -> Answering:
        """Let a message be answered: begin its turn, or find the one that answers it already.

        Raises:
            ApiError: The message's id stands for another message (409), or the server runs as
                many turns as it may (503).
        """
        task = self.task(thread.task)
        if message is None:
            values = (await task.state(thread.id)).values
            turn, said = turn_of(values.get("messages", [])), ""
        else:
            check_text(str(message.content))
            turn, said = turn_of([message]), _hash(str(message.content))
        if run := self.runs.running(thread.id, turn):
            _check_same(run.said, said)
            return Answering(thread, turn, run)
        known = await self.records.turn(thread.id, turn)
        if known:
            _check_same(known.said, said)
            if known.status == "completed" and message and await self._is_logged(thread, turn):
                return Answering(thread, turn, ended=True)
            if known.status == "running" and await self.runs.is_locked(thread.id):
                return Answering(thread, turn)
        run = self.runs.running(thread.id, turn)  # another request may have been quicker
        run = run or self.runs.begin(task, thread, turn, message, said, keep)
        return Answering(thread, turn, run)

    async def take_again(self, thread: Thread, turn: str) -> Answering:
        """Let the message of a thread's last turn be answered anew; a turn that runs is joined.

        Raises:
            ApiError: There is no such turn (404), it is not the last one (409), or the server runs
                as many turns as it may (503).
        """
        if run := self.runs.running(thread.id, turn):
            return Answering(thread, turn, run)
        task = self.task(thread.task)
        said: list[BaseMessage] = (await task.state(thread.id)).values.get("messages", [])
        asked = next((each for each in reversed(said) if isinstance(each, HumanMessage)), None)
        if asked is None or turn_of([asked]) != turn:
            await self.turn(thread, turn)
            raise ApiError(
                409,
                "not_the_last",
                "only the message of the thread's last turn can be answered again: fork the thread "
                "to go on from an earlier one",
            )
        known = await self.records.turn(thread.id, turn)  # none in a copy of the thread
        if known and known.status == "running" and await self.runs.is_locked(thread.id):
            return Answering(thread, turn)
        run = self.runs.running(thread.id, turn)  # another request may have been quicker
        again, digest = AnswerAgain(asked.id), _hash(str(asked.content))
        run = run or self.runs.begin(task, thread, turn, again, digest)
        return Answering(thread, turn, run)

    async def _is_logged(self, thread: Thread, turn: str) -> bool:
        return bool(await self.records.events(thread.id, turn, 0, 1))

    async def begun(self, answering: Answering) -> None:
        """Wait until the message is stored, as long as a client waits for a status.

        Raises:
            ApiError: The turn ended before that.
        """
        run = answering.run
        if run is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self.settings.limits.head):
                await run.begun.wait()
        if run.base is None and run.error:
            raise as_api_error(run.error)

    async def events(self, answering: Answering) -> AsyncIterator[Logged]:
        """Yield the events that answer a message.

        Raises:
            ApiError: The turn ended without a `done` event, because its log cannot be written.
        """
        thread, turn, run = answering.thread.id, answering.turn, answering.run
        if answering.ended:
            for event in await _last_attempt(self.runs.follow(thread, turn)):
                yield again(event)
            return
        told = False
        async for event in self.runs.follow(thread, turn, None if run else 0, run):
            told = event.event["type"] == "done"
            yield event
        if run and run.error and not told:
            raise as_api_error(run.error)


async def _last_attempt(logged: AsyncIterator[Logged]) -> list[Logged]:
    """Return the events of the last time that a message was answered."""
    events: list[Logged] = []
    async for event in logged:
        if event.event["type"] == "turn_started":
            events = []
        events.append(event)
    return events


def _check_same(known: str, said: str) -> None:
    if known and said and known != said:
        raise ApiError(
            409,
            "message_id_taken",
            "the message's id stands for another message of this thread: give each message an id "
            "of its own",
        )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _is_hex(text: str, length: int) -> bool:
    return len(text) == length and not set(text) - set("0123456789abcdef")
