"""Runs a turn for a caller who may leave it: by cancelling, by closing its stream, by Ctrl-C.

LangGraph's runs do not end with their caller. anyio, under every FastAPI app, cancels each `await`
of a cancelled task anew: LangGraph's cleanup is cancelled too, and the nodes at work go on asking
the model. A sync run waits for its nodes, which begin their next steps meanwhile. Here a turn has a
task or an OS thread of its own, which is told once that its caller has left.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import closing, suppress
from typing import Any, ClassVar, Generic, TypeVar

from langgraph.runtime import RunControl

from langgraph_cooper.graph.threads.locks import HOLDER, TurnLock
from langgraph_cooper.prompts import CooperError

T = TypeVar("T")

NOT_TAKEN = "the caller left before its message was stored: send it again"
STOPPED = "the turn was stopped: the next call on its thread finishes it, if its message was stored"


class StoppedError(CooperError):
    """The turn was stopped, by `Turns.stop`, before it had its answer."""


class Stopper:
    """Stops a turn that runs in sync code: it begins no step and no request any more.

    Attributes:
        requested: Whether the turn shall end.
    """

    def __init__(self) -> None:
        self.requested = False
        self._control: RunControl | None = None

    def stop(self) -> None:
        """Request the end of the turn, from any thread."""
        self.requested = True
        if self._control:
            self._control.request_drain("stopped")

    def steers(self, control: RunControl) -> None:
        """Note the control of the run that goes on for the turn."""
        self._control = control
        if self.requested:
            self.stop()


class TurnTask(Generic[T]):
    """A turn in an asyncio task of its own. Use `result` or `parts`, once.

    If the caller leaves, the task is cancelled once and awaited. Under anyio it ends behind the
    caller's back; it keeps the thread's lock until then, or until its loop is closed.

    Args:
        work: Runs the turn. It gets this object, to hand over parts with `hand`, and to call
            `storing` and `stored` around the storing of the message, which is never cut.
    """

    _running: ClassVar[set[asyncio.Task[Any]]] = set()  # asyncio itself refers to tasks weakly

    def __init__(self, work: Callable[[TurnTask[T]], Coroutine[Any, Any, T]]) -> None:
        self._work = work
        self._parts: asyncio.Queue[Any] = asyncio.Queue()
        self._taken = self._storing = self._left = self._stopped = self._ended = False

    def stop(self) -> None:
        """End the turn, which raises a `StoppedError`; from any thread."""
        with suppress(RuntimeError):  # its loop was closed, and it runs no more
            self._task.get_loop().call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        self._stopped = self._left = True
        self._end()

    def _result(self, task: asyncio.Task[T]) -> T:
        if task.cancelled() and self._stopped:
            raise StoppedError(STOPPED)
        return task.result()

    async def result(self) -> T:
        """Run the turn and return its result."""
        task = self._begin()
        await self._attend(task, asyncio.wait([task]))
        return self._result(task)

    async def parts(self) -> AsyncGenerator[Any, None]:
        """Run the turn and yield the parts that it hands over."""
        task = self._begin()
        task.add_done_callback(lambda _: self._parts.put_nowait(None))
        try:
            while (part := await self._attend(task, self._parts.get())) is not None:
                yield part
                self._parts.task_done()
        except GeneratorExit:
            await self._leave(task)
            raise
        self._result(task)

    async def hand(self, part: Any) -> None:
        """Hand a part to the caller, and wait until it asks for the next one."""
        self._parts.put_nowait(part)
        await self._parts.join()

    def storing(self) -> None:
        """Defer the end of a turn whose caller leaves, until `stored`."""
        self._taken = self._storing = True

    def stored(self) -> None:
        """Let the turn end if its caller has left."""
        if self._storing:
            self._storing = False
            self._end()

    def _begin(self) -> asyncio.Task[T]:
        self._task = task = asyncio.create_task(self._work(self))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        # An error that no caller is there to see is not reported as forgotten.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    async def _attend(self, task: asyncio.Task[T], waiting: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await waiting
        except asyncio.CancelledError as error:
            if not self._taken:
                error.add_note(NOT_TAKEN)
            with suppress(asyncio.CancelledError):  # anyio's next one has no note
                await self._leave(task)
            raise

    async def _leave(self, task: asyncio.Task[T]) -> None:
        self._left = True
        self._end()
        await asyncio.wait([task])

    def _end(self) -> None:
        if self._left and not self._storing and not self._ended:
            self._ended = True  # another one would cut the cleanup, whose writes then come late
            self._task.cancel()


async def in_os_thread(work: Callable[[], T]) -> T:
    """Run blocking work to its end even if the caller is cancelled, however often.

    anyio, under every FastAPI app, cancels each `await` of a cancelled task anew: work that merely
    waits for a free OS thread would be dropped. Locks that it takes or releases are the loop's.
    """
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()
    context.run(HOLDER.set, loop)
    return await asyncio.shield(loop.run_in_executor(None, context.run, work))


class LockRequest:
    """A request for a lock whose caller may leave before the answer comes."""

    def __init__(self, lock: TurnLock, thread_id: str) -> None:
        self._lock, self._thread_id = lock, thread_id
        self._guard = threading.Lock()
        self._granted = self._abandoned = False
        self._context = contextvars.copy_context()

    def run(self) -> bool:
        """Request the lock; give it back at once if the caller has left."""
        self._context = contextvars.copy_context()  # with the holder
        granted = self._lock.try_acquire(self._thread_id)
        with self._guard:
            self._granted = granted and not self._abandoned
            left = granted and self._abandoned
        if left:
            self._lock.release(self._thread_id)
        return self._granted

    def abandon(self) -> None:
        """Abandon the request, and release the lock if it was granted."""
        with self._guard:
            self._abandoned, granted = True, self._granted
        if granted:
            self._context.run(self._lock.release, self._thread_id)


def in_thread(
    work: Callable[[RunControl], Generator[T, None, None]], stopper: Stopper
) -> Generator[T, None, None]:
    """Iterate over a sync run in an OS thread of its own.

    If the caller leaves, the run is drained: it begins no further step and no further request to a
    model. A request under way ends in the background.

    Args:
        work: Begins the run, which must use this control.
        stopper: Can end the run, too.
    """
    control = RunControl()
    stopper.steers(control)
    handed: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
    wanted = threading.Semaphore(0)

    def run() -> None:
        try:
            with closing(work(control)) as parts:
                for part in parts:
                    handed.put((True, part))
                    wanted.acquire()
                    if control.drain_requested:
                        break
            handed.put((False, None))
        except BaseException as error:
            handed.put((False, error))

    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), name="turn")
    thread.start()
    try:
        while (found := handed.get())[0]:
            yield found[1]
            wanted.release()
    finally:
        control.request_drain("the caller left")
        wanted.release()
        thread.join()
    if found[1] is not None:
        raise found[1]
