"""A task that the server offers: its graph, its turns, and copies of its threads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StateSnapshot

from langgraph_cooper.graph.server.errors import ApiError, not_found
from langgraph_cooper.graph.server.records import Records
from langgraph_cooper.graph.server.savers import WholeWrites
from langgraph_cooper.graph.threads.locks import TurnLock
from langgraph_cooper.graph.threads.turns import Turns
from langgraph_cooper.nodes.reply_guard import speaker
from langgraph_cooper.nodes.state import RankedCandidate
from langgraph_cooper.prompts import PASSIVE, TaskSpec

Graph = CompiledStateGraph[Any, Any, Any, Any]


@dataclass(frozen=True)
class EditedTopic:
    """A topic that a person puts in place of the ranking's first."""

    topic: str
    strategy: str | None = None
    aspect: str | None = None


class ServedTurns(Turns):
    """Turns of threads that are there, which are let go when the last row is written.

    A turn that waited while its thread was deleted stores nothing.

    Args:
        graph: The graph.
        records: The server's tables.
        lock: As for `Turns`.
        wait: As for `Turns`.
    """

    def __init__(self, graph: Graph, records: Records, *, lock: TurnLock, wait: float) -> None:
        super().__init__(graph, lock=lock, wait=wait)
        self._records = records

    @asynccontextmanager
    async def aholding(self, thread_id: str) -> AsyncIterator[None]:
        """Hold a thread's lock.

        Raises:
            ApiError: The thread was deleted (404).
        """
        async with super().aholding(thread_id):
            if not await self._records.has_thread(thread_id):
                raise not_found("thread")
            try:
                yield
            finally:
                if isinstance(self._saver, WholeWrites):
                    await self._saver.settled(thread_id)

    async def adelete(self, thread_id: str) -> None:
        """Delete a thread and all that is known of it, between two turns."""
        async with self.aholding(thread_id):
            await self._saver.adelete_thread(thread_id)
            await self._records.delete_thread(thread_id)  # last: until then it can be asked again


@dataclass(frozen=True)
class ServedTask:
    """A task with its graph, compiled with the server's checkpointer, and its turns."""

    spec: TaskSpec
    graph: Graph
    turns: ServedTurns

    async def head(self, thread: str) -> str | None:
        """Return the id of a thread's last checkpoint, or None if it has none."""
        found = await self._saver().aget_tuple(_config(thread))
        return found.config["configurable"]["checkpoint_id"] if found else None

    async def state(self, thread: str, checkpoint: str | None = None) -> StateSnapshot:
        """Return the state of a thread, as it is or as it was."""
        return await self.graph.aget_state(_config(thread, checkpoint))

    async def copy(
        self,
        thread: str,
        checkpoint: str | None,
        to: str,
        edited: EditedTopic | None = None,
    ) -> None:
        """Copy a thread, as it was at a checkpoint, into a new thread.

        Args:
            thread: The thread.
            checkpoint: The checkpoint; None for the last one.
            to: The id of the new thread.
            edited: Put in place of the last turn's first choice. The copy lacks that turn's reply,
                and its next turn, without a message, writes another one.

        Raises:
            ApiError: There is no such checkpoint (404), or no ranking to edit (409).
        """
        values = (await self.state(thread, checkpoint)).values
        if not values.get("messages"):
            if checkpoint is None and edited is None:
                return
            if checkpoint is None:
                raise _no_ranking()
            raise ApiError(404, "not_found", "the thread's state after that turn is not kept")
        if edited:
            node, values = "coordinator", {**values, **_edited(values, edited, self.spec)}
        else:
            node = self._last_node()
        await self.graph.aupdate_state(_config(to), values, as_node=node)

    async def write(self, thread: str, messages: Sequence[BaseMessage]) -> None:
        """Write a conversation that was held elsewhere into a new thread."""
        await self.graph.aupdate_state(
            _config(thread), {"messages": list(messages)}, as_node=self._last_node()
        )

    def _last_node(self) -> str:
        """Return the node that ends a turn, so that nothing is due after what it writes."""
        return "reply_guard" if "reply_guard" in self.graph.nodes else "generator"

    def _saver(self) -> Any:
        return self.graph.checkpointer


def _config(thread: str, checkpoint: str | None = None) -> RunnableConfig:
    place = {"checkpoint_id": checkpoint} if checkpoint else {}
    return {"configurable": {"thread_id": thread, "checkpoint_ns": "", **place}}


def _no_ranking() -> ApiError:
    told = "the agents proposed nothing in that turn: fork another one"
    return ApiError(409, "no_ranking", told)


def _edited(values: dict[str, Any], edited: EditedTopic, task: TaskSpec) -> dict[str, Any]:
    ranking: list[RankedCandidate] = list(values.get("ranking") or [])
    messages: list[BaseMessage] = list(values["messages"])
    answer = messages[-1]
    answered = isinstance(answer, AIMessage) and isinstance(messages[-2:][0], HumanMessage)
    # Where the safety guard spoke, no topic takes its place.
    if not (answered and ranking) or speaker(cast("AIMessage", answer)) == "guard":
        raise _no_ranking()
    proposed = (one["aspect"] for one in ranking if one["aspect"] != PASSIVE)
    aspect = edited.aspect or next(proposed, task.aspect_names[0])
    if aspect not in task.aspect_names:
        raise ApiError(
            422,
            "invalid_request_error",
            f"the task has no aspect {aspect!r}: name one of {', '.join(task.aspect_names)}",
        )
    first: Any = {
        **ranking[0],
        "topic": edited.topic,
        "strategy": edited.strategy or ranking[0]["strategy"],
        "aspect": aspect,
        "source": "person",
    }
    return {"messages": messages[:-1], "ranking": [first, *ranking[1:]]}
