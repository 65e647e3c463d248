"""The turns of a thread, one after another, none lost and none doubled, for applications.

LangGraph keeps what a run saw: of five runs at once on one thread it keeps one. It leaves the
message of a run that was cut in the thread, and takes the same message a second time. `Turns` puts
a lock around each thread, finishes what was cut, and knows a message by its id.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, StateSnapshot

from langgraph_cooper.graph.threads.ids import check_thread_id
from langgraph_cooper.graph.threads.locks import TurnLock, alock_for, lock_for
from langgraph_cooper.graph.threads.pruning import aprune_thread, prune_thread
from langgraph_cooper.nodes.errors import InputError
from langgraph_cooper.nodes.intake import check_text
from langgraph_cooper.prompts import CooperError

Said = HumanMessage | str | Command[Any] | None
Graph = CompiledStateGraph[Any, Any, Any, Any]
Input = dict[str, list[HumanMessage]] | Command[Any] | None
Key = TypeVar("Key", bound=Hashable)
Queue = TypeVar("Queue")

# Who waits for a lock that another process holds asks again after pauses that grow to the longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.2
SPEAKER = "generator"


class ThreadBusyError(CooperError):
    """Another turn of the thread took longer than the caller was ready to wait."""


@dataclass(frozen=True)
class Reply:
    """What a message was answered with.

    Attributes:
        message: The answer; None where the graph waits for a person (an interrupt) before it.
        state: The thread's state now.
        repeated: The message had been answered before: this is that answer, and no turn was run.
    """

    message: AIMessage | None
    state: Mapping[str, Any]
    repeated: bool = False

    @property
    def text(self) -> str:
        """The answer's text."""
        return self.message.text if self.message else ""


class Turns:
    """Runs the turns of a graph's threads, each thread's one after another.

    What is sent is a message with an id of the client's own: sent again with the same id, after a
    lost connection or a crash, it is neither kept nor answered twice. It is kept before it is
    worked on. A turn that was cut, because the process died, the model failed, or the caller went
    away, stays in the thread, and whatever is sent next finishes it first; steps that had
    finished are not run again. `None` finishes it without saying anything new (and begins a
    conversation that the system opens).

    Sync and async as the graph's own methods are: `send` and `asend`, `stream` and `astream`.

    Args:
        graph: Compiled with a checkpointer.
        lock: Excludes other processes. If omitted: files beside an SQLite database; this process
            alone for any other saver, but PostgreSQL's needs `PostgresLock(conninfo)`.
        wait: Seconds to wait for the other turns of a thread; None: as long as it takes.

    Raises:
        InputError: The graph has no checkpointer, or a lock is missing.
    """

    def __init__(
        self, graph: Graph, *, lock: TurnLock | None = None, wait: float | None = None
    ) -> None:
        saver = graph.checkpointer
        if not isinstance(saver, BaseCheckpointSaver):
            raise InputError(
                "Turns needs a graph that keeps its threads: compile it with a checkpointer, as in "
                "create_cooper().compile(checkpointer=InMemorySaver())"
            )
        self._graph = graph
        self._saver = saver
        self._lock = lock
        self._wait = wait
        self._sync_queues = _Queues[str, threading.Lock](threading.Lock)
        self._async_queues = _Queues[tuple[int, str], asyncio.Lock](asyncio.Lock)

    # Sync ------------------------------------------------------------------------------------

    def send(
        self,
        thread_id: str,
        message: Said,
        *,
        context: Any = None,
        config: RunnableConfig | None = None,
    ) -> Reply:
        """Says something in a thread and gives the answer.

        Args:
            thread_id: The thread.
            message: A message, best with an id of the client's own; a text; None: see the class;
                or a `Command` that resumes an interrupt.
            context: As the graph's own `invoke` takes it.
            config: Likewise: callbacks, tags. What stands in it is kept in plain in the thread's
                metadata: no keys.

        Raises:
            InputError: The thread's id or the message cannot be taken; nothing was kept.
            ThreadBusyError: The thread was busy for longer than `wait`; nothing was kept.
            CooperError: The turn failed; the message is kept, and to be sent again.
        """
        turn = _Turn(self._graph, thread_id, message, context, config)
        with self.holding(thread_id):
            snapshot = self._graph.get_state(turn.config)
            if found := turn.answered(snapshot):
                return replace(found, repeated=True)
            if turn.unfinished(snapshot):
                with turn.tolerating_refused():
                    self._graph.invoke(None, turn.config, **turn.choices)
                if found := turn.answered(self._graph.get_state(turn.config)):
                    return found
            self._graph.invoke(turn.input, turn.config, **turn.choices)
            return turn.reply(self._graph.get_state(turn.config))

    def stream(
        self,
        thread_id: str,
        message: Said,
        *,
        context: Any = None,
        config: RunnableConfig | None = None,
        stream_mode: str | Sequence[str] = "messages",
        subgraphs: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Says something in a thread and gives the turn's parts as they come.

        The thread stays locked until the stream ends or is closed. A turn before it that was cut
        is finished without being streamed. Arguments and errors: see `send`.

        Yields:
            The parts that `graph.stream(..., version="v2")` yields. An answer that was given
            before comes again in one piece, as "messages" and "values".
        """
        turn = _Turn(self._graph, thread_id, message, context, config)
        modes = [stream_mode] if isinstance(stream_mode, str) else list(stream_mode)
        how: dict[str, Any] = {"stream_mode": modes, "subgraphs": subgraphs, "version": "v2"}
        with self.holding(thread_id):
            snapshot, given = self._graph.get_state(turn.config), turn.input
            found = turn.answered(snapshot)
            if not found and turn.under_way(snapshot):
                given = None
            elif not found and turn.unfinished(snapshot):
                with turn.tolerating_refused():
                    self._graph.invoke(None, turn.config, **turn.choices)
                found = turn.answered(self._graph.get_state(turn.config))
            if found:
                yield from _again(found, modes)
                return
            yield from self._graph.stream(given, turn.config, **turn.choices, **how)

    @contextmanager
    def holding(self, thread_id: str) -> Iterator[None]:
        """Holds a thread, for whatever else must not meet a turn: editing, pruning, deleting.

        Raises:
            ThreadBusyError: The thread was busy for longer than `wait`.
        """
        check_thread_id(thread_id)
        lock = self._lock = self._lock or lock_for(self._saver)
        until = time.monotonic() + (float("inf") if self._wait is None else self._wait)
        with ExitStack() as held:
            queue = held.enter_context(self._sync_queues.of(thread_id))
            if not queue.acquire(timeout=-1 if self._wait is None else self._wait):
                raise self._busy(thread_id)
            held.callback(queue.release)
            pauses = _pauses()
            while not lock.try_acquire(thread_id):
                if time.monotonic() > until:
                    raise self._busy(thread_id)
                time.sleep(next(pauses))
            held.callback(lock.release, thread_id)
            yield

    def prune(self, thread_id: str, *, keep: int = 1) -> int:
        """Removes the thread's old checkpoints, as `prune_thread` does, between two turns.

        Raises:
            InputError: It cannot be pruned so.
            ThreadBusyError: The thread was busy for longer than `wait`.
        """
        with self.holding(thread_id):
            return prune_thread(self._saver, thread_id, keep=keep)

    def delete(self, thread_id: str) -> None:
        """Forgets the thread, between two turns."""
        with self.holding(thread_id):
            self._saver.delete_thread(thread_id)

    # Async -----------------------------------------------------------------------------------

    async def asend(
        self,
        thread_id: str,
        message: Said,
        *,
        context: Any = None,
        config: RunnableConfig | None = None,
    ) -> Reply:
        """As `send`. Cancelled in the middle, it leaves the turn to whatever is sent next."""
        turn = _Turn(self._graph, thread_id, message, context, config)
        async with self.aholding(thread_id):
            snapshot = await self._graph.aget_state(turn.config)
            if found := turn.answered(snapshot):
                return replace(found, repeated=True)
            if turn.unfinished(snapshot):
                with turn.tolerating_refused():
                    await self._graph.ainvoke(None, turn.config, **turn.choices)
                if found := turn.answered(await self._graph.aget_state(turn.config)):
                    return found
            await self._graph.ainvoke(turn.input, turn.config, **turn.choices)
            return turn.reply(await self._graph.aget_state(turn.config))

    async def astream(
        self,
        thread_id: str,
        message: Said,
        *,
        context: Any = None,
        config: RunnableConfig | None = None,
        stream_mode: str | Sequence[str] = "messages",
        subgraphs: bool = False,
    ) -> AsyncIterator[dict[str, Any]]:
        """As `stream`. Closed in the middle, it leaves the turn to whatever is sent next."""
        turn = _Turn(self._graph, thread_id, message, context, config)
        modes = [stream_mode] if isinstance(stream_mode, str) else list(stream_mode)
        how: dict[str, Any] = {"stream_mode": modes, "subgraphs": subgraphs, "version": "v2"}
        async with self.aholding(thread_id):
            snapshot, given = await self._graph.aget_state(turn.config), turn.input
            found = turn.answered(snapshot)
            if not found and turn.under_way(snapshot):
                given = None
            elif not found and turn.unfinished(snapshot):
                with turn.tolerating_refused():
                    await self._graph.ainvoke(None, turn.config, **turn.choices)
                found = turn.answered(await self._graph.aget_state(turn.config))
            if found:
                for part in _again(found, modes):
                    yield part
                return
            async for part in self._graph.astream(given, turn.config, **turn.choices, **how):
                yield part

    @asynccontextmanager
    async def aholding(self, thread_id: str) -> AsyncIterator[None]:
        """As `holding`."""
        check_thread_id(thread_id)
        found = self._lock or await alock_for(self._saver)
        lock = self._lock = self._lock or found  # another task may have found it meanwhile
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(self._wait):
                    key = id(asyncio.get_running_loop()), thread_id
                    queue = held.enter_context(self._async_queues.of(key))
                    await held.enter_async_context(queue)
                    pauses = _pauses()
                    while not await self._try(lock, thread_id):
                        await asyncio.sleep(next(pauses))
                    held.push_async_callback(asyncio.to_thread, lock.release, thread_id)
            except TimeoutError:
                raise self._busy(thread_id) from None
            yield

    async def aprune(self, thread_id: str, *, keep: int = 1) -> int:
        """As `prune`."""
        async with self.aholding(thread_id):
            return await aprune_thread(self._saver, thread_id, keep=keep)

    async def adelete(self, thread_id: str) -> None:
        """As `delete`."""
        async with self.aholding(thread_id):
            await self._saver.adelete_thread(thread_id)

    @staticmethod
    async def _try(lock: TurnLock, thread_id: str) -> bool:
        """Asks in a thread: the lock may ask a database. Who is cancelled leaves nothing locked."""
        asked = asyncio.ensure_future(asyncio.to_thread(lock.try_acquire, thread_id))
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            if await asked:
                await asyncio.to_thread(lock.release, thread_id)
            raise

    def _busy(self, thread_id: str) -> ThreadBusyError:
        return ThreadBusyError(
            f"the thread {thread_id!r} was busy with another turn for {self._wait:g} seconds; send "
            "the message again, with the same id"
        )


def is_unfinished(snapshot: StateSnapshot) -> bool:
    """Whether a thread's last turn was cut, so that running the graph on None finishes it.

    `snapshot.next` does not tell: it leaves out steps that had finished, and is empty where all of
    them had, but the process died before their results were put together. A turn that waits for
    a person was not cut: a `Command` resumes it.
    """
    return bool(snapshot.tasks) and not snapshot.interrupts


class _Turn:
    """What one call of `Turns` means for a thread whose lock it holds."""

    def __init__(
        self,
        graph: Graph,
        thread_id: str,
        message: Said,
        context: Any,
        config: RunnableConfig | None,
    ) -> None:
        given: dict[str, Any] = dict(config or {})
        given["configurable"] = {**given.get("configurable", {}), "thread_id": thread_id}
        self.config = RunnableConfig(**given)  # type: ignore[typeddict-item]
        self.choices: dict[str, Any] = {"context": context, "durability": "sync"}
        self._command = message if isinstance(message, Command) else None
        self._message = None if isinstance(message, Command) else _checked(message)

    @property
    def input(self) -> Input:
        """What a new turn takes in."""
        return self._command or {"messages": [self._message] if self._message else []}

    def unfinished(self, snapshot: StateSnapshot) -> bool:
        """Whether a turn was cut, and is to be finished before anything else."""
        return is_unfinished(snapshot) and self._command is None

    def under_way(self, snapshot: StateSnapshot) -> bool:
        """Whether a turn was cut, and is this message's (or nothing new is said)."""
        messages = _messages(snapshot)
        if not self.unfinished(snapshot):
            return False
        if self._message is None:
            return True
        place = self._place(messages)
        return place is not None and _answer_after(messages, place) is None

    @contextmanager
    def tolerating_refused(self) -> Iterator[None]:
        """A message that cannot be answered, put in the thread by other means, is left at that."""
        try:
            yield
        except InputError:
            if self._message is None:
                raise

    def answered(self, snapshot: StateSnapshot) -> Reply | None:
        """The answer, if the message (or, where nothing new is said, the thread) has one."""
        messages = _messages(snapshot)
        if self._command or not messages:
            return None
        if self._message is None and self.unfinished(snapshot):
            return None
        place = self._place(messages) if self._message else len(messages) - 2
        if place is None:
            return None
        answer = _answer_after(messages, place)
        if answer is None and self._message:
            return None
        return Reply(answer, snapshot.values)

    def reply(self, snapshot: StateSnapshot) -> Reply:
        """What the turn that was just run ended with."""
        messages = _messages(snapshot)
        place = self._place(messages)
        start = len(messages) - 2 if place is None else place
        return Reply(_answer_after(messages, start), snapshot.values)

    def _place(self, messages: Sequence[BaseMessage]) -> int | None:
        """Where the message stands in the thread.

        Raises:
            InputError: Something else stands there under its id.
        """
        if self._message is None:
            return None
        for place, message in enumerate(messages):
            if message.id == self._message.id:
                if message.type != "human" or message.content != self._message.content:
                    raise InputError(
                        f"the message id {message.id!r} stands for another message of this thread: "
                        "give each message an id of its own"
                    )
                return place
        return None


class _Queues(Generic[Key, Queue]):
    """A lock per key, made when it is first asked for and dropped when nobody needs it."""

    def __init__(self, make: Callable[[], Queue]) -> None:
        self._make = make
        self._queues: dict[Key, tuple[Queue, int]] = {}
        self._guard = threading.Lock()

    @contextmanager
    def of(self, key: Key) -> Iterator[Queue]:
        """Lends the lock of a key to one more user."""
        with self._guard:
            queue, users = self._queues.get(key) or (self._make(), 0)
            self._queues[key] = queue, users + 1
        try:
            yield queue
        finally:
            with self._guard:
                queue, users = self._queues[key]
                if users == 1:
                    del self._queues[key]
                else:
                    self._queues[key] = queue, users - 1


def _checked(message: HumanMessage | str | None) -> HumanMessage | None:
    """The message as it goes into the thread, with an id; refused before anything is kept."""
    if message is None:
        return None
    if isinstance(message, str):
        message = HumanMessage(message)
    if not isinstance(message, HumanMessage):
        raise InputError(
            f"a {type(message).__name__} cannot be sent: pass a text, a HumanMessage, or None"
        )
    check_text(message.text)
    return message if message.id else message.model_copy(update={"id": str(uuid4())})


def _messages(snapshot: StateSnapshot) -> list[BaseMessage]:
    return list(snapshot.values.get("messages", []))


def _answer_after(messages: Sequence[BaseMessage], place: int) -> AIMessage | None:
    after = messages[max(place, 0) :]
    return next((message for message in after if isinstance(message, AIMessage)), None)


def _again(reply: Reply, modes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """An answer that was given before, as a stream's parts."""
    if "messages" in modes and reply.message:
        yield {"type": "messages", "ns": (), "data": (reply.message, {"langgraph_node": SPEAKER})}
    if "values" in modes:
        yield {"type": "values", "ns": (), "data": dict(reply.state), "interrupts": ()}


def _pauses() -> Iterator[float]:
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)
