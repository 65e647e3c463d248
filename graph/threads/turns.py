"""Turns of conversations in order, none lost and none doubled: the entry point for applications."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Generator,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import (
    AsyncExitStack,
    ExitStack,
    aclosing,
    asynccontextmanager,
    closing,
    contextmanager,
)
from functools import partial
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.errors import GraphDrained
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import RunControl

from langgraph_cooper.graph.threads.asked import (
    AnswerAgain,
    AskedTurn,
    Input,
    Reply,
    Said,
    is_unfinished,
)
from langgraph_cooper.graph.threads.events import MODES, SPEAKER, Telling
from langgraph_cooper.graph.threads.ids import check_thread_id
from langgraph_cooper.graph.threads.leaving import (
    STOPPED,
    LockRequest,
    StoppedError,
    Stopper,
    TurnTask,
    in_os_thread,
    in_thread,
)
from langgraph_cooper.graph.threads.locks import TurnLock, alock_for, lock_for
from langgraph_cooper.graph.threads.pruning import aprune_thread, prune_thread
from langgraph_cooper.graph.threads.queues import FairLock, Queues
from langgraph_cooper.nodes.errors import InputError
from langgraph_cooper.nodes.events import Event
from langgraph_cooper.prompts import CooperError

Graph = CompiledStateGraph[Any, Any, Any, Any]

# Seconds between two requests for a lock that another process holds: the pause doubles each time.
FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.2
FAILED_AGAIN = "an earlier turn, which was cut, failed again: %s"

_log = logging.getLogger(__name__)


class ThreadBusyError(CooperError):
    """Another turn of the thread took longer than `wait`."""


class Turns:
    """Runs the turns of a graph's threads: one at a time per thread, each message answered once.

    LangGraph alone does not order the runs of a thread. Of five concurrent runs it keeps the state
    of one. An interrupted run leaves its message unanswered, and a message that is sent again is
    stored again. With `Turns`:

    - Turns of one thread run one after another, across tasks, OS threads and processes. Different
      threads do not wait for each other.
    - A message is stored before it is worked on, and so is the result of every step. If a turn is
      cut (the process dies, a model fails, the client goes away), the next call on that thread
      finishes it first. Steps that had finished do not run again. If it fails again, the next
      answer is to both messages.
    - A message that carries an id of the client's own may be sent again at any time, such as after
      a lost connection. It is stored once and answered once. `answer_again` answers it anew.

    Use `send` or `stream` in sync code, `asend` or `astream` in async code; one object serves both.

    Example:
        turns = Turns(create_cooper("esc").compile(checkpointer=InMemorySaver()))
        reply = turns.send("anna", HumanMessage("I lost my job.", id="message-1"))
        print(reply.text)

    Args:
        graph: A graph that was compiled with a checkpointer.
        lock: Keeps other processes out of a thread. If omitted, an SQLite database gets locked
            files beside it, and other checkpointers a lock in this process alone. PostgreSQL
            requires `PostgresLock(conninfo)`.
        wait: Seconds that a call waits for earlier turns of its thread. None waits for ever.

    Raises:
        InputError: The graph has no checkpointer.
    """

    def __init__(
        self, graph: Graph, *, lock: TurnLock | None = None, wait: float | None = None
    ) -> None:
        saver = getattr(graph, "checkpointer", None)  # a graph that was not compiled has none
        if not isinstance(saver, BaseCheckpointSaver):
            raise InputError(
                "Turns needs a graph that keeps its threads: compile it with a checkpointer, as in "
                "create_cooper().compile(checkpointer=InMemorySaver())"
            )
        self._graph = graph
        self._saver = saver
        self._lock = lock
        self._wait = wait
        self._stops: dict[str, Callable[[], None]] = {}  # by the thread whose turn runs
        self._sync_queues = Queues[str, FairLock](FairLock)
        self._async_queues = Queues[tuple[int, str], asyncio.Lock](asyncio.Lock)

    @property
    def graph(self) -> Graph:
        """The graph, for reading a thread and, while it is held, for changing it."""
        return self._graph

    # Sync ------------------------------------------------------------------------------------

    def send(
        self,
        thread_id: str,
        message: Said,
        *,
        context: Any = None,
        config: RunnableConfig | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> Reply:
        """Send a message to a thread and return the answer.

        An earlier turn that was cut runs first, with a deadline of its own.

        Args:
            thread_id: The thread; a new id begins a conversation.
            message: One of
                - a `HumanMessage`, best with an id of your own, so that it can be sent again;
                - a text, for a message that is never sent again;
                - a dict such as {"role": "user", "content": "Hello.", "id": "message-1"};
                - None, to say nothing new: finish a turn that was cut, answer a message that has
                  no answer, or let the system open the conversation where its task says so;
                - a `Command`, to resume from an interrupt;
                - an `AnswerAgain`, as `answer_again` sends it.
            context: The context of the run, such as a `CooperContext`.
            config: The configuration of the run, such as callbacks and tags. It is stored in
                plain text in the thread's metadata: pass no keys or passwords in it.
            values: Other keys of the graph's input than `messages`, where COOPER is a node of your
                graph. They are stored with the message; one that was stored before keeps its own.

        Raises:
            InputError: The thread's id, the message or the values are not acceptable. Nothing was
                stored.
            ThreadBusyError: The thread was busy for longer than `wait`. Nothing was stored.
            LockError: The lock's folder or database cannot be used. Nothing was stored.
            StoppedError: `stop` ended the turn.
            CooperError: The turn failed. The message is stored: send it again, with the same id.
        """
        turn = self._asked(thread_id, message, context, config, values)
        stopper = Stopper()
        with self.holding(thread_id), self._stoppable(thread_id, stopper.stop):
            if found := self._settle(turn, stopper):
                return found
            self._finish(turn.input, turn, stopper)
            return turn.reply(self._graph.get_state(turn.config))

    def answer_again(
        self,
        thread_id: str,
        message_id: str | None = None,
        *,
        context: Any = None,
        config: RunnableConfig | None = None,
    ) -> Reply:
        """Answer the user's last message of a thread anew; the new reply replaces the old one.

        It is for a reply that stands in for a model's, say: a message that is sent again gets the
        reply that it has. The old reply is removed as the turn begins. If that fails, the next call
        on the thread finishes it. To stream the turn, pass `AnswerAgain(message_id)` as the message
        of `stream` or `events`.

        Args:
            thread_id: The thread.
            message_id: The id of the message that is meant, so that no later one is answered in its
                place. If omitted, the last one is answered.
            context: As for `send`.
            config: As for `send`.

        Raises:
            InputError: The thread has no such message at its end, or waits for a person's decision.
                Nothing was changed.
            CooperError: As for `send`.
        """
        return self.send(thread_id, AnswerAgain(message_id), context=context, config=config)

    def stream(  # noqa: PLR0913 (the choices of a turn, each named)
        self,
        thread_id: str,
        message: Said,
        *,
        context: Any = None,
        config: RunnableConfig | None = None,
        values: Mapping[str, Any] | None = None,
        stream_mode: str | Sequence[str] = "messages",
        subgraphs: bool = False,
        catch_up: bool = True,
    ) -> Generator[dict[str, Any], None, None]:
        """Send a message to a thread and yield the parts of the turn as they come.

        The thread stays locked until the iterator is exhausted or closed. If it is closed early,
        the next call finishes the turn. An earlier turn that was cut is finished first, without
        being streamed. See `send` for the arguments and errors, and `SpokenTurn` (in
        `langgraph_cooper.graph.threads.spoken`) for the words alone.

        With `catch_up=False` an earlier turn is not finished first, and the answer is to its
        message too: a turn whose key was refused need not be refused twice.

        Yields:
            The parts of `graph.stream(..., version="v2")`. The answer to a message that had been
            answered earlier comes in one piece, as a "messages" and a "values" part.
        """
        turn = self._asked(thread_id, message, context, config, values)
        how = _how(stream_mode, subgraphs)
        stopper = Stopper()
        with self.holding(thread_id), self._stoppable(thread_id, stopper.stop):
            if found := self._settle(turn, stopper, catch_up):
                yield from _again(found, how["stream_mode"])
            else:
                yield from self._streamed(turn, how, stopper)

    def events(  # noqa: PLR0913 (the choices of a turn, each named)
        self,
        thread_id: str,
        message: Said,
        *,
        context: Any = None,
        config: RunnableConfig | None = None,
        values: Mapping[str, Any] | None = None,
        subgraphs: bool = False,
        catch_up: bool = True,
        on_state: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> Generator[Event, None, None]:
        """Send a message to a thread and yield the turn as small typed events (docs/events.md).

        The first is `turn_started`, as soon as the message is stored; the last is `done`, on every
        path; before that comes `reply`, once, if the turn has one. See `stream` for the thread's
        lock and the arguments, besides these:

        Args:
            thread_id: As for `send`.
            message: As for `send`.
            context: As for `send`.
            config: As for `send`.
            values: As for `send`.
            subgraphs: Whether COOPER may be a node of the graph, at any depth.
            catch_up: As for `stream`.
            on_state: Called with the thread's state whenever a step has changed it.

        Raises:
            CooperError: As for `send`. If the message was stored, a `done` event comes before it.
        """
        turn = self._asked(thread_id, message, context, config, values)
        how = _how(MODES, subgraphs)
        stopper, telling = Stopper(), Telling(turn, on_state, subgraphs=subgraphs)
        with self.holding(thread_id), self._stoppable(thread_id, stopper.stop):
            try:
                if not self._settle(turn, stopper, catch_up):
                    with closing(self._streamed(turn, how, stopper)) as parts:
                        for part in parts:
                            yield from telling.hear(part)
            except StoppedError:
                yield from telling.stopped()
            except Exception as error:
                yield from telling.failed(error)
                raise
            else:
                yield from telling.end()

    def stop(self, thread_id: str) -> bool:
        """Stop the turn that this object runs on a thread, from any task or OS thread.

        It begins no step and no request to a model any more, and an async one ends its requests.
        Its message stays in the thread, unanswered: the next call on the thread finishes the turn.
        The stopped call raises `StoppedError`, or ends in a `done` event.

        Returns:
            Whether a turn was running. It may end a little later: the next call waits for it.
        """
        stop = self._stops.get(thread_id)
        if stop:
            stop()
        return stop is not None

    async def astop(self, thread_id: str) -> bool:
        """Stop a turn, and wait until its thread is free. See `stop`."""
        if not self.stop(thread_id):
            return False
        async with self.aholding(thread_id):
            return True

    @contextmanager
    def holding(self, thread_id: str) -> Iterator[None]:
        """Hold a thread's lock, for work that must not meet a turn, such as editing its state.

        Do not call other methods for the same thread inside the block: they wait for the lock.

        Raises:
            InputError: The thread's id is not acceptable, or the checkpointer needs a lock that
                `Turns` was not given.
            ThreadBusyError: The thread was busy for longer than `wait`.
            LockError: The lock's folder or database cannot be used.
        """
        check_thread_id(thread_id)
        lock = self._lock = self._lock or lock_for(self._saver)
        until = time.monotonic() + (float("inf") if self._wait is None else self._wait)
        with ExitStack() as held:
            queue = held.enter_context(self._sync_queues.of(thread_id))
            if not held.enter_context(queue.turn(self._wait)):
                raise self._busy(thread_id)
            pauses = _pauses()
            while not lock.try_acquire(thread_id):
                if time.monotonic() > until:
                    raise self._busy(thread_id)
                time.sleep(next(pauses))
            held.callback(lock.release, thread_id)
            yield

    def prune(self, thread_id: str, *, keep: int = 1) -> int:
        """Remove a thread's old checkpoints between two turns, and keep its conversation.

        See `prune_thread` for `keep`, the number returned, and the errors besides those of
        `holding`.
        """
        with self.holding(thread_id):
            return prune_thread(self._saver, thread_id, keep=keep, graph=self._graph)

    def delete(self, thread_id: str) -> None:
        """Delete a thread between two turns. See `holding` for the errors."""
        with self.holding(thread_id):
            self._saver.delete_thread(thread_id)

    @contextmanager
    def _stoppable(self, thread_id: str, stop: Callable[[], None]) -> Iterator[None]:
        self._stops[thread_id] = stop
        try:
            yield
        finally:
            self._stops.pop(thread_id, None)

    def _settle(self, turn: AskedTurn, stopper: Stopper, catch_up: bool = True) -> Reply | None:
        """Finish an earlier turn that was cut; return the answer if the message has one now."""
        if turn.comes_after_another(self._graph.get_state(turn.config)) and catch_up:
            # If it fails again, the new message may be answered all the same: by the safety guard,
            # say, which needs no model.
            turn.caught_up = True
            try:
                self._finish(None, turn, stopper)
            except StoppedError:
                raise
            except CooperError as error:
                _log.warning(FAILED_AGAIN, error)
            turn.found = turn.answered(self._graph.get_state(turn.config))
        return turn.found

    def _finish(self, given: Input, turn: AskedTurn, stopper: Stopper) -> None:
        """Run the graph to its end."""

        def work(control: RunControl) -> Generator[Any, None, None]:
            yield self._graph.invoke(given, turn.config, control=control, **turn.options)

        with self._stopping(turn, stopper):
            list(in_thread(work, stopper))

    def _streamed(
        self, turn: AskedTurn, how: dict[str, Any], stopper: Stopper
    ) -> Generator[dict[str, Any], None, None]:
        """Run a turn and yield its parts."""

        def work(control: RunControl) -> Generator[dict[str, Any], None, None]:
            options = {**turn.options, **how, "control": control}
            yield from self._graph.stream(turn.input, turn.config, **options)

        with self._stopping(turn, stopper):
            yield from in_thread(work, stopper)

    @contextmanager
    def _stopping(self, turn: AskedTurn, stopper: Stopper) -> Iterator[None]:
        """Raise a `StoppedError` after a run that was stopped before its end."""
        try:
            yield
        except GraphDrained:
            if not stopper.requested:
                raise
        if stopper.requested and is_unfinished(self._graph.get_state(turn.config)):
            raise StoppedError(STOPPED)

    # Async -----------------------------------------------------------------------------------

    async def asend(
        self,
        thread_id: str,
        message: Said,
        *,
        context: Any = None,
        config: RunnableConfig | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> Reply:
        """Send a message to a thread and return the answer. See `send`.

        If the task is cancelled, the turn ends: requests to models are closed and none begins. Its
        message is stored if the thread was free, and the next call on the thread finishes the turn.
        Otherwise the `CancelledError` has a note: send the message again.
        """
        turn = self._asked(thread_id, message, context, config, values)

        async def work(task: TurnTask[Reply]) -> Reply:
            async with self.aholding(thread_id):
                with self._stoppable(thread_id, task.stop):
                    if found := await self._asettle(turn):
                        return found
                    async for _ in self._astored(turn, task, _how("values", False)):
                        pass
                    return turn.reply(await self._graph.aget_state(turn.config))

        return await TurnTask(work).result()

    async def aanswer_again(
        self,
        thread_id: str,
        message_id: str | None = None,
        *,
        context: Any = None,
        config: RunnableConfig | None = None,
    ) -> Reply:
        """Answer the user's last message of a thread anew. See `answer_again`."""
        return await self.asend(thread_id, AnswerAgain(message_id), context=context, config=config)

    async def astream(  # noqa: PLR0913 (the choices of a turn, each named)
        self,
        thread_id: str,
        message: Said,
        *,
        context: Any = None,
        config: RunnableConfig | None = None,
        values: Mapping[str, Any] | None = None,
        stream_mode: str | Sequence[str] = "messages",
        subgraphs: bool = False,
        catch_up: bool = True,
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Send a message to a thread and yield the parts of the turn as they come. See `stream`.

        Use `contextlib.aclosing` where the iteration may end early, so that the lock is released
        at once.
        """
        turn = self._asked(thread_id, message, context, config, values)
        how = _how(stream_mode, subgraphs)

        async def work(task: TurnTask[None]) -> None:
            async with self.aholding(thread_id):
                with self._stoppable(thread_id, task.stop):
                    if found := await self._asettle(turn, catch_up):
                        for part in _again(found, how["stream_mode"]):
                            await task.hand(part)
                        return
                    async with aclosing(self._astored(turn, task, how)) as parts:
                        async for part in parts:
                            await task.hand(part)

        async with aclosing(TurnTask(work).parts()) as parts:
            async for part in parts:
                yield part

    async def aevents(  # noqa: PLR0913 (the choices of a turn, each named)
        self,
        thread_id: str,
        message: Said,
        *,
        context: Any = None,
        config: RunnableConfig | None = None,
        values: Mapping[str, Any] | None = None,
        subgraphs: bool = False,
        catch_up: bool = True,
        on_state: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Send a message to a thread and yield the turn as events. See `events`.

        Use `contextlib.aclosing` where the iteration may end early, so that the lock is released
        at once.
        """
        turn = self._asked(thread_id, message, context, config, values)
        how = _how(MODES, subgraphs)
        telling = Telling(turn, on_state, subgraphs=subgraphs)

        async def work(task: TurnTask[None]) -> None:
            async with self.aholding(thread_id):
                with self._stoppable(thread_id, task.stop):
                    if not await self._asettle(turn, catch_up):
                        async with aclosing(self._astored(turn, task, how)) as parts:
                            async for part in parts:
                                for event in telling.hear(part):
                                    await task.hand(event)
                    for event in telling.end():
                        await task.hand(event)

        try:
            async with aclosing(TurnTask(work).parts()) as events:
                async for event in events:
                    yield event
        except StoppedError:
            for event in telling.stopped():
                yield event
        except Exception as error:
            for event in telling.failed(error):
                yield event
            raise

    @asynccontextmanager
    async def aholding(self, thread_id: str) -> AsyncIterator[None]:
        """Hold a thread's lock. See `holding`."""
        check_thread_id(thread_id)
        found = self._lock or await alock_for(self._saver)
        lock = self._lock = self._lock or found  # another task may have found it meanwhile
        until = time.monotonic() + (float("inf") if self._wait is None else self._wait)
        async with AsyncExitStack() as held:
            key = id(asyncio.get_running_loop()), thread_id
            queue = held.enter_context(self._async_queues.of(key))
            try:
                async with asyncio.timeout(self._wait):  # a free queue is entered at once
                    await held.enter_async_context(queue)
            except TimeoutError:
                raise self._busy(thread_id) from None
            pauses = _pauses()
            while not await self._try(lock, thread_id):  # once at least, however short the wait
                if time.monotonic() > until:
                    raise self._busy(thread_id)
                await asyncio.sleep(next(pauses))
            held.push_async_callback(in_os_thread, partial(lock.release, thread_id))
            yield

    async def aprune(self, thread_id: str, *, keep: int = 1) -> int:
        """Remove a thread's old checkpoints. See `prune`."""
        async with self.aholding(thread_id):
            return await aprune_thread(self._saver, thread_id, keep=keep, graph=self._graph)

    async def adelete(self, thread_id: str) -> None:
        """Delete a thread. See `delete`."""
        async with self.aholding(thread_id):
            await self._saver.adelete_thread(thread_id)

    async def _astored(
        self, turn: AskedTurn, task: TurnTask[Any], how: dict[str, Any]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Run a turn, which cannot be cut before its message is stored."""
        task.storing()
        modes = how["stream_mode"]
        # The first of the "values" comes when the input is stored.
        how = {**how, "stream_mode": list(dict.fromkeys([*modes, "values"]))}
        running = self._graph.astream(turn.input, turn.config, **turn.options, **how)
        async with aclosing(cast("AsyncGenerator[dict[str, Any], None]", running)) as parts:
            async for part in parts:
                task.stored()
                if part["type"] in modes:
                    yield part

    async def _asettle(self, turn: AskedTurn, catch_up: bool = True) -> Reply | None:
        if turn.comes_after_another(await self._graph.aget_state(turn.config)) and catch_up:
            turn.caught_up = True
            try:
                await self._graph.ainvoke(None, turn.config, **turn.options)
            except CooperError as error:
                _log.warning(FAILED_AGAIN, error)
            turn.found = turn.answered(await self._graph.aget_state(turn.config))
        return turn.found

    @staticmethod
    async def _try(lock: TurnLock, thread_id: str) -> bool:
        """Request a lock in an OS thread, as it may ask a database; release it if cancelled."""
        request = LockRequest(lock, thread_id)
        try:
            return await in_os_thread(request.run)
        except asyncio.CancelledError:
            # In a thread as well, and not awaited: giving the lock back may ask a database.
            asyncio.get_running_loop().run_in_executor(None, request.abandon)
            raise

    def _asked(
        self,
        thread_id: str,
        message: Said,
        context: Any,
        config: RunnableConfig | None,
        values: Mapping[str, Any] | None,
    ) -> AskedTurn:
        turn = AskedTurn(thread_id, message, context, config, values)
        builder = self._graph.builder
        known = builder.schemas[builder.input_schema]
        if unknown := [key for key in values or () if key not in known]:
            others = ", ".join(key for key in known if key != "messages") or "none but messages"
            raise InputError(f"the graph's input has no key {unknown[0]!r}: it has {others}")
        return turn

    def _busy(self, thread_id: str) -> ThreadBusyError:
        return ThreadBusyError(
            f"the thread {thread_id!r} was busy with another turn for {self._wait:g} seconds; send "
            "the message again, with the same id"
        )


def _how(stream_mode: str | Sequence[str], subgraphs: bool) -> dict[str, Any]:
    modes = [stream_mode] if isinstance(stream_mode, str) else list(stream_mode)
    return {"stream_mode": modes, "subgraphs": subgraphs, "version": "v2"}


def _again(reply: Reply, modes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield an earlier answer as the parts of a stream."""
    if "messages" in modes and reply.message:
        yield {"type": "messages", "ns": (), "data": (reply.message, {"langgraph_node": SPEAKER})}
    if "values" in modes:
        yield {"type": "values", "ns": (), "data": dict(reply.state), "interrupts": ()}


def _pauses() -> Iterator[float]:
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)
