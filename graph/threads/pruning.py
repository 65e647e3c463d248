"""Removing a thread's old checkpoints without changing its conversation.

LangGraph stores every step of every turn, those inside the agents too, so that one can return to
any of them. A thread that is only continued needs the last one.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import pairwise
from typing import Any, NamedTuple

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph.threads.locks import is_async_sqlite, is_postgres, is_sqlite
from langgraph_cooper.nodes.errors import InputError

Saver = BaseCheckpointSaver[Any]


class Step(NamedTuple):
    """The part of a checkpoint that pruning reads. The root graph's namespace is empty."""

    namespace: str
    id: str
    parent: str | None
    metadata: Mapping[str, Any]


class Plan(NamedTuple):
    """The checkpoints to remove, and those that stay but lose their parent."""

    dropped: list[tuple[str, str]]
    orphaned: list[tuple[str, str]]


def prune_thread(saver: Saver, thread_id: str, *, keep: int = 1) -> int:
    """Remove the checkpoints of a thread except those that end its last turns.

    The newest checkpoint always stays, with its pending writes and those of the agents at work, so
    that an unfinished turn can resume. No turn of the thread may run meanwhile: `Turns.prune` takes
    its lock. LangGraph's savers have no such method for memory and SQLite, and PostgreSQL's keeps
    one checkpoint only.

    Args:
        saver: LangGraph's saver for memory, SQLite or PostgreSQL, or another one that has a
            `prune` method, which allows `keep=1` alone.
        thread_id: The thread.
        keep: Number of turns whose last checkpoint stays, to return to or to fork from.

    Returns:
        Number of checkpoints removed; 0 if the saver's own `prune` did the work.

    Raises:
        InputError: `keep` is below 1, or the thread cannot be pruned in this saver.
    """
    _check(keep)
    if isinstance(saver, InMemorySaver):
        return _prune_memory(saver, thread_id, keep)
    if is_sqlite(saver):
        with saver.lock, saver.conn as connection:  # type: ignore[attr-defined]
            saver.setup()  # type: ignore[attr-defined]
            plan = _plan(connection.execute(_STEPS.format("?"), [thread_id]).fetchall(), keep)
            for statement, rows in _statements(plan, thread_id, "writes", "?"):
                connection.executemany(statement, rows)
            return len(plan.dropped)
    if is_postgres(saver):
        with _lent(saver.conn) as connection, saver.lock, connection.transaction():  # type: ignore[attr-defined]
            cursor = connection.cursor(row_factory=_tuples())
            found = cursor.execute(_STEPS.format("%s"), [thread_id]).fetchall()
            plan = _plan(found, keep)
            for statement, rows in _statements(plan, thread_id, "checkpoint_writes", "%s"):
                cursor.executemany(statement, rows)
            cursor.execute(_UNUSED_BLOBS, [thread_id])
            return len(plan.dropped)
    _only_the_last(saver, "prune", keep)
    saver.prune([thread_id], strategy="keep_latest")
    return 0


async def aprune_thread(saver: Saver, thread_id: str, *, keep: int = 1) -> int:
    """Remove a thread's old checkpoints from an async saver. See `prune_thread`."""
    _check(keep)
    if isinstance(saver, InMemorySaver):
        return _prune_memory(saver, thread_id, keep)
    if is_async_sqlite(saver):
        await saver.setup()  # type: ignore[attr-defined]
        async with saver.lock:  # type: ignore[attr-defined]
            return await _aprune_sqlite(saver.conn, thread_id, keep)  # type: ignore[attr-defined]
    if is_postgres(saver):
        async with _alent(saver.conn) as connection, saver.lock, connection.transaction():  # type: ignore[attr-defined]
            cursor = connection.cursor(row_factory=_tuples())
            await cursor.execute(_STEPS.format("%s"), [thread_id])
            plan = _plan(await cursor.fetchall(), keep)
            for statement, rows in _statements(plan, thread_id, "checkpoint_writes", "%s"):
                await cursor.executemany(statement, rows)
            await cursor.execute(_UNUSED_BLOBS, [thread_id])
            return len(plan.dropped)
    _only_the_last(saver, "aprune", keep)
    await saver.aprune([thread_id], strategy="keep_latest")
    return 0


def _check(keep: int) -> None:
    if keep < 1:
        raise InputError(
            f"keep is {keep}: a thread needs its last checkpoint; delete the thread to forget it"
        )


def _only_the_last(saver: Saver, method: str, keep: int) -> None:
    own = getattr(type(saver), method) is not getattr(BaseCheckpointSaver, method)
    if not own or keep != 1:
        raise InputError(
            f"threads in a {type(saver).__name__} cannot be pruned to {keep} turns: use a saver "
            "for memory, SQLite or PostgreSQL" + (", or keep=1" if own else "")
        )


# Planning --------------------------------------------------------------------------------------


def _plan(rows: Sequence[Sequence[Any]], keep: int) -> Plan:
    steps = [Step(n, i, parent, _metadata(data)) for n, i, parent, data in rows]
    if any("counters_since_delta_snapshot" in step.metadata for step in steps):
        raise InputError(
            "the thread's graph uses a DeltaChannel, whose value is spread over its checkpoints: "
            "it cannot be pruned"
        )
    kept = _kept(steps, keep)
    return Plan(
        dropped=[(s.namespace, s.id) for s in steps if (s.namespace, s.id) not in kept],
        orphaned=[
            (s.namespace, s.id)
            for s in steps
            if (s.namespace, s.id) in kept and (s.namespace, s.parent) not in kept
        ],
    )


def _kept(steps: Sequence[Step], keep: int) -> set[tuple[str, str]]:
    ordered = sorted(steps, key=lambda step: step.id)  # ids grow with time
    roots = [step for step in ordered if not step.namespace]
    # A turn begins with the checkpoint of its input: the one before ended another.
    ends = [step.id for step, after in pairwise(roots) if after.metadata.get("source") == "input"]
    kept = set([*ends, *(step.id for step in roots[-1:])][-keep:])
    latest = {step.namespace: step for step in ordered if step.namespace}
    inner = {
        (name, step.id)
        for name, step in latest.items()
        if _outlives_its_call(name) or step.metadata.get("parents", {}).get("") in kept
    }
    return {("", id) for id in kept} | inner


def _outlives_its_call(namespace: str) -> bool:
    """Return whether the namespace is of a subgraph with a memory (`checkpointer=True`).

    The namespace of any other subgraph ends in a colon and the id of its task. Such a call belongs
    to the root's checkpoint that it began from, and is over once there is a next one.
    """
    return ":" not in namespace


def _metadata(data: Any) -> Mapping[str, Any]:
    loaded = json.loads(data) if isinstance(data, bytes | str) else data
    return loaded if isinstance(loaded, Mapping) else {}


# Memory ----------------------------------------------------------------------------------------


def _prune_memory(saver: InMemorySaver, thread_id: str, keep: int) -> int:
    stored = saver.storage.get(thread_id, {})
    plan = _plan(
        [
            (namespace, id, parent, saver.serde.loads_typed(metadata))
            for namespace, steps in stored.items()
            for id, (_, metadata, parent) in steps.items()
        ],
        keep,
    )
    for namespace, id in plan.dropped:
        del stored[namespace][id]
        saver.writes.pop((thread_id, namespace, id), None)
    for namespace, id in plan.orphaned:
        stored[namespace][id] = (*stored[namespace][id][:2], None)
    used = {
        (namespace, channel, version)
        for namespace, steps in stored.items()
        for checkpoint, _, _ in steps.values()
        for channel, version in saver.serde.loads_typed(checkpoint)["channel_versions"].items()
    }
    for key in [key for key in saver.blobs if key[0] == thread_id and key[1:] not in used]:
        del saver.blobs[key]
    return len(plan.dropped)


# SQL -------------------------------------------------------------------------------------------

_STEPS = (
    "SELECT checkpoint_ns, checkpoint_id, parent_checkpoint_id, metadata FROM checkpoints "
    "WHERE thread_id = {}"
)
_ONE = "WHERE thread_id = {0} AND checkpoint_ns = {0} AND checkpoint_id = {0}"
_UNUSED_BLOBS = """
DELETE FROM checkpoint_blobs b WHERE b.thread_id = %s AND NOT EXISTS (
    SELECT 1 FROM checkpoints c WHERE c.thread_id = b.thread_id
    AND c.checkpoint_ns = b.checkpoint_ns
    AND c.checkpoint -> 'channel_versions' ->> b.channel = b.version
)
"""


def _statements(
    plan: Plan, thread_id: str, writes: str, mark: str
) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    one = _ONE.format(mark)
    dropped = [(thread_id, *step) for step in plan.dropped]
    orphaned = [(thread_id, *step) for step in plan.orphaned]
    if dropped:
        yield f"DELETE FROM {writes} {one}", dropped
        yield f"DELETE FROM checkpoints {one}", dropped
    if orphaned:
        yield f"UPDATE checkpoints SET parent_checkpoint_id = NULL {one}", orphaned


async def _aprune_sqlite(connection: Any, thread_id: str, keep: int) -> int:
    async with connection.execute(_STEPS.format("?"), [thread_id]) as cursor:
        plan = _plan(await cursor.fetchall(), keep)
    try:
        for statement, rows in _statements(plan, thread_id, "writes", "?"):
            await connection.executemany(statement, rows)
        await connection.commit()
    except BaseException:
        await connection.rollback()
        raise
    return len(plan.dropped)


def _tuples() -> Any:
    from psycopg.rows import tuple_row

    return tuple_row


@contextmanager
def _lent(held: Any) -> Iterator[Any]:
    """Lend the connection of a PostgreSQL saver, which holds one or a pool of them."""
    if hasattr(held, "getconn"):
        with held.connection() as connection:
            yield connection
    else:
        yield held


@asynccontextmanager
async def _alent(held: Any) -> AsyncIterator[Any]:
    if hasattr(held, "getconn"):
        async with held.connection() as connection:
            yield connection
    else:
        yield held
