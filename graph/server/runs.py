"""The turns that run in this process, their logs, and those who read them here or elsewhere.

A turn belongs to no request: the client that began it may leave, and it goes on. Its events are
written to the database before anybody reads them, so that a reader who comes back, at any replica,
goes on after the last number it saw. Readers have no buffers: each reads the log at its own pace.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any
from weakref import WeakValueDictionary

from langgraph_cooper.graph.server.errors import ApiError, as_api_error, not_found
from langgraph_cooper.graph.server.faults import for_clients
from langgraph_cooper.graph.server.metrics import Metrics
from langgraph_cooper.graph.server.records import Logged, Records, Status, Thread
from langgraph_cooper.graph.server.served import ServedTask
from langgraph_cooper.graph.server.settings import Settings
from langgraph_cooper.graph.server.told import Told
from langgraph_cooper.graph.threads.asked import Said
from langgraph_cooper.graph.threads.leaving import STOPPED, StoppedError, in_os_thread
from langgraph_cooper.graph.threads.locks import TurnLock
from langgraph_cooper.graph.threads.turns import Turns
from langgraph_cooper.nodes.events import Done, Event

logger = logging.getLogger(__name__)

POLL = 1.0
"""Seconds after which a reader looks whether a turn elsewhere still runs."""
LOST = 3
"""Polls at which a thread must be free until its turn is lost: its log ends after its lock."""
MOST_SEEN = 1_000
BATCH = 100
GONE = "the server that ran the turn went away: send the message again, with the same id"

Key = tuple[str, str]
Keep = Callable[["Run", str | None], Awaitable[None]]
"""Is given a completed turn and its checkpoint, before its end is told."""


class Run:
    """A turn that runs in this process.

    Attributes:
        base: The number of the last event that was logged before; None until it has begun.
        error: Why it ended without an answer.
        begun: Is set when the message is stored, or the turn ended before that.
        ended: Whether no event follows.
    """

    def __init__(self, thread: Thread, turn: str, said: str, keep: Keep | None) -> None:
        self.thread, self.turn, self.said, self.keep = thread, turn, said, keep
        self.told = Told()
        self.base: int | None = None
        self.error: Exception | None = None
        self.begun = asyncio.Event()
        self.ended = self.closed = False
        self.task: asyncio.Task[None] | None = None
        self.writing: asyncio.Task[None] | None = None
        self.at = time.perf_counter()
        self.spoke = False
        self.end: tuple[Status, str | None] | None = None
        self._log: list[Logged] = []
        self._pending: list[Logged] = []
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()

    def fail(self, error: Exception) -> None:
        """Note the first error as what clients are told of it; the log has the whole of it."""
        self.error = self.error or as_api_error(error)

    def put(self, event: Event) -> None:
        """Take an event, which readers see once it is written."""
        assert self.base is not None
        number = self.base + len(self._log) + len(self._pending) + 1
        self._pending.append(Logged(number, event.as_json()))
        self._wanted.set()

    async def pending(self) -> list[Logged]:
        """Wait for events that are not written yet; none follows an empty list."""
        while not (self._pending or self.closed):
            self._wanted.clear()
            await self._wanted.wait()
        return self._pending[:BATCH]

    def close(self) -> None:
        """Let the log end after what is pending."""
        self.closed = True
        self._wanted.set()

    @property
    def last(self) -> tuple[Status, str | None] | None:
        """Return how the turn ended, if no event is to come after those that are pending."""
        return self.end if len(self._pending) <= BATCH else None

    def written(self, events: list[Logged]) -> None:
        """Show events to the readers."""
        del self._pending[: len(events)]
        self._log += events
        self._wake()

    def finished(self) -> None:
        """Tell the readers that no event follows."""
        self.ended = True
        self.begun.set()
        self._wake()

    def since(self, after: int) -> list[Logged] | None:
        """Return the events after a number, or None if some of them are in the database alone."""
        if self.base is None or after < self.base:
            return None
        return self._log[after - self.base :]

    def change(self) -> asyncio.Event:
        """Return what is set at the next change."""
        return self._changed

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Runs:
    """Begins, follows and stops turns."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._running: dict[Key, Run] = {}
        self._turns: dict[Key, Turns] = {}
        # Held by the readers that wait: nothing is left of one who leaves.
        self._news: WeakValueDictionary[Key, asyncio.Event] = WeakValueDictionary()
        self._seen_locked: dict[str, tuple[float, bool]] = {}
        self._records: Records
        self._lock: TurnLock

    def open(self, records: Records, lock: TurnLock) -> None:
        """Use a store, once it is open."""
        self._records, self._lock = records, lock

    def running(self, thread: str, turn: str) -> Run | None:
        """Return the run of a turn if it is in this process."""
        return self._running.get((thread, turn))

    def on(self, thread: str) -> list[Run]:
        """Return the runs of a thread in this process."""
        return [run for (id, _), run in self._running.items() if id == thread]

    def begin(
        self,
        task: ServedTask,
        thread: Thread,
        turn: str,
        message: Said,
        said: str,
        keep: Keep | None = None,
    ) -> Run:
        """Begin a turn in the background.

        Raises:
            ApiError: So many turns run already that this one is refused (503).
        """
        if len(self._running) >= self._settings.limits.turns:
            raise ApiError(
                503,
                "server_busy",
                "the server runs as many turns as it may: send the message again, with the same id",
                {"Retry-After": "2"},
            )
        run, key = Run(thread, turn, said, keep), (thread.id, turn)
        self._running[key], self._turns[key] = run, task.turns
        self._metrics.running.set(len(self._running))
        run.task = asyncio.create_task(self._attend(run, task, message))
        return run

    async def _attend(self, run: Run, task: ServedTask, message: Said) -> None:
        """Run a turn; whatever ends it, it is counted no longer and its readers are told."""
        try:
            try:
                await self._tell(run, task, message)
            except asyncio.CancelledError:
                run.error = run.error or StoppedError(STOPPED)
            except Exception as error:
                run.fail(error)
            run.close()
            if run.writing:
                await run.writing
        finally:
            key = run.thread.id, run.turn
            del self._running[key], self._turns[key]
            self._metrics.running.set(len(self._running))
            run.finished()

    async def _tell(self, run: Run, task: ServedTask, message: Said) -> None:
        """Run a turn and tell its events."""
        options: dict[str, Any] = {"context": self._settings.context}
        failed: Done | None = None
        try:
            async with aclosing(task.turns.aevents(run.thread.id, message, **options)) as events:
                async for event in events:
                    if run.base is None:
                        await self._begun(run)
                    if isinstance(event, Done) and event.status == "failed":
                        failed = event  # the error that follows tells what clients may know
                    else:
                        await self._take(run, task, for_clients(event))
        except Exception as error:
            run.fail(error)
            if failed:
                await self._take(run, task, failed.model_copy(update={"error": str(run.error)}))

    async def _take(self, run: Run, task: ServedTask, event: Event) -> None:
        run.told.hear(event.as_dict())
        if isinstance(event, Done):
            run.end = await self._end(run, task, event)
        run.put(event)
        self._measure(run, event)

    async def _begun(self, run: Run) -> None:
        base = await self._records.begin_turn(run.thread.id, run.turn, run.said)
        if base is None:  # deleted by somebody who does not ask for its lock
            raise not_found("thread")
        run.base = base
        run.writing = asyncio.create_task(self._write(run))
        run.begun.set()

    async def _write(self, run: Run) -> None:
        """Write a turn's log. A turn whose log cannot be written any more ends."""
        try:
            while events := await run.pending():
                await self._records.log(run.thread.id, run.turn, events, run.last)
                run.written(events)
        except Exception as error:
            run.fail(error)
            if run.task:
                run.task.cancel()

    async def _end(self, run: Run, task: ServedTask, event: Done) -> tuple[Status, str | None]:
        """Return how a turn ended, and at which checkpoint: its thread is still locked."""
        if event.status != "completed":
            return event.status, None
        checkpoint = await task.head(run.thread.id)
        if run.keep:
            await run.keep(run, checkpoint)
        return event.status, checkpoint

    def _measure(self, run: Run, event: Event) -> None:
        task = run.thread.task
        if event.type == "token" and not run.spoke:
            run.spoke = True
            self._metrics.first_words.labels(task).observe(time.perf_counter() - run.at)
        if event.type == "done":
            self._metrics.turns.labels(task, event.status).inc()
            self._metrics.seconds.labels(task).observe(event.seconds)

    # Reading ---------------------------------------------------------------------------------

    async def follow(
        self, thread: str, turn: str, after: int | None = 0, run: Run | None = None
    ) -> AsyncIterator[Logged]:
        """Yield the events of a turn until no event follows.

        Args:
            thread: The thread.
            turn: The turn.
            after: The number of the last event that is known. None: those of this run alone.
            run: The turn's run, if it is in this process.
        """
        key, free = (thread, turn), 0
        if run and after is None:
            await run.begun.wait()
            if run.base is None:  # what is logged is of an earlier attempt
                return
            after = run.base
        seen = after or 0
        while True:
            run = self._running.get(key) or run
            changed = run.change() if run else self._news.setdefault(key, asyncio.Event())
            ended = run.ended if run else False
            found = run.since(seen) if run else None
            if found is None:
                found = await self._records.events(thread, turn, seen)
            for event in found:
                yield event
                seen, free = event.number, 0
            if found:
                continue
            if ended or (run is None and await self._is_over(key, seen)):
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(None if run else POLL):
                    await changed.wait()
            if run is None:
                free = 0 if await self._seems_locked(thread) else free + 1
                if free == LOST:
                    await self._end_lost(key, seen)

    async def _is_over(self, key: Key, seen: int) -> bool:
        """Return whether a turn that does not run here has ended, and all of it was read."""
        known = await self._records.turn(*key)
        if known and known.status == "running":
            return False
        return not await self._records.events(*key, seen, 1)

    async def _end_lost(self, key: Key, seen: int) -> None:
        """End the log of a turn whose server is gone."""
        known = await self._records.turn(*key)
        if known and known.status == "running" and not await self._records.events(*key, seen, 1):
            gone = Done(turn=key[1], id=f"{key[1]}:done", status="failed", error=GONE)
            await self._records.log(*key, [Logged(seen + 1, gone.as_json())], ("failed", None))

    async def _seems_locked(self, thread: str) -> bool:
        """Return whether a turn ran on a thread just now: all its readers ask once in a while."""
        at, locked = self._seen_locked.get(thread, (0.0, True))
        if time.monotonic() - at > POLL * 0.9:
            locked = await self.is_locked(thread)
            self._seen_locked.pop(thread, None)
            if len(self._seen_locked) >= MOST_SEEN:  # the thread that was asked about longest ago
                del self._seen_locked[next(iter(self._seen_locked))]
            self._seen_locked[thread] = (time.monotonic(), locked)
        return locked

    async def is_locked(self, thread: str) -> bool:
        """Return whether a turn runs on a thread, in whatever process."""

        def try_it() -> bool:
            if free := self._lock.try_acquire(thread):
                self._lock.release(thread)
            return not free

        return await in_os_thread(try_it)

    # Ending ----------------------------------------------------------------------------------

    async def stop(self, thread: str, turn: str) -> bool:
        """Stop a turn, here or at another replica; return whether it was running."""
        if (stopped := self._stop_here(thread, turn)) is not None:
            return stopped
        known = await self._records.turn(thread, turn)
        await self._records.request_stop(thread, turn)
        running = known is not None and known.status == "running"
        return running and await self.is_locked(thread)

    def _stop_here(self, thread: str, turn: str) -> bool | None:
        """Stop a turn and return whether it was running; None if it does not run here."""
        run = self._running.get((thread, turn))
        if run is None:
            return None
        if run.end is not None or run.closed:
            return False  # its log is still written, but the thread may run its next turn
        if run.base is not None:
            self._turns[thread, turn].stop(thread)
        elif run.task:  # it waits for an earlier turn
            run.task.cancel()
        return True

    def hear(self, news: str) -> None:
        """Take the news of another replica."""
        match news.split(" "):
            case ["stop", thread, turn]:
                self._stop_here(thread, turn)
            case ["log", thread, turn]:
                if changed := self._news.pop((thread, turn), None):
                    changed.set()
            case _:  # whoever may use the database can send some
                logger.warning("news that no replica sends were ignored: %.80r", news)

    async def close(self) -> None:
        """Let the turns end, and stop those that take too long."""
        if tasks := [run.task for run in self._running.values() if run.task]:
            await asyncio.wait(tasks, timeout=self._settings.limits.grace)
        for key in list(self._running):
            self._stop_here(*key)
        if tasks := [run.task for run in self._running.values() if run.task]:
            await asyncio.wait(tasks, timeout=self._settings.limits.grace)


def again(logged: Logged) -> Logged:
    """Return an event of an earlier turn as one that is told again."""
    event: Mapping[str, Any] = logged.event
    told = {**event, "again": True}
    if event["type"] == "reply":
        told["repeated"] = True
    return Logged(logged.number, json.dumps(told, ensure_ascii=False, separators=(",", ":")))
