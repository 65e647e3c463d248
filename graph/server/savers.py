"""LangGraph's savers, whose writes are whole, and over before their thread is let go.

A turn that is stopped cancels the writes of its steps. One that is cut between its rows and its
commit leaves SQLite's transaction open, and the file locked. One that goes on behind its caller's
back writes into a thread that was deleted meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
)

T = TypeVar("T")


class WholeWrites(BaseCheckpointSaver[Any]):
    """Mixin for an async saver, before it among the bases."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._under_way: defaultdict[str, set[asyncio.Task[Any]]] = defaultdict(set)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Write a checkpoint, to its end even if the caller is cancelled."""
        return await self._whole(config, super().aput(config, checkpoint, metadata, new_versions))

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Write the results of a step, to their end even if the caller is cancelled."""
        await self._whole(config, super().aput_writes(config, writes, task_id, task_path))

    async def settled(self, thread_id: str) -> None:
        """Wait until no write of a thread is under way."""
        while tasks := self._under_way.get(thread_id):
            await asyncio.wait(set(tasks))

    async def _whole(self, config: RunnableConfig, writing: Coroutine[Any, Any, T]) -> T:
        thread_id = str(config["configurable"]["thread_id"])
        task = asyncio.create_task(writing)
        self._under_way[thread_id].add(task)

        def over(done: asyncio.Task[T]) -> None:
            tasks = self._under_way[thread_id]
            tasks.discard(done)
            if not tasks:
                del self._under_way[thread_id]
            if not done.cancelled():
                done.exception()  # a caller who was cancelled does not ask for it

        task.add_done_callback(over)
        return await asyncio.shield(task)
