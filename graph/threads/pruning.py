"""Removing a thread's old checkpoints without changing its conversation.

LangGraph stores every step of every turn, those inside the agents too, so that one can return to
any of them. A thread that is only continued needs the last one.

The checkpoints that stay are completed before any other is removed: a process that dies in between
loses nothing.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from itertools import pairwise
from typing import Any, NamedTuple

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph.threads.completing import (
    COUNTERS,
    Graph,
    Place,
    Saver,
    acomplete,
    complete,
)
from langgraph_cooper.graph.threads.locks import is_async_sqlite, is_postgres, is_sqlite
from langgraph_cooper.nodes.errors import InputError
from langgraph_cooper.prompts.errors import a_kind

LATEST: Place = ("", "")
"""The root's newest checkpoint, whichever it is."""


class Step(NamedTuple):
    """The part of a checkpoint that pruning reads. The root graph's namespace is empty."""

    namespace: str
    id: str
    parent: str | None
    metadata: Mapping[str, Any]


class Plan(NamedTuple):
    """The checkpoints to remove, and those that stay but lose their parent.

    Of the latter, the incomplete ones do not hold all of their state.
    """

    dropped: list[Place]
    orphaned: list[Place]
    incomplete: list[Place]


def prune_thread(saver: Saver, thread_id: str, *, keep: int = 1, graph: Graph | None = None) -> int:
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
        graph: The thread's compiled graph; needed where a graph of your own has a `DeltaChannel`.

    Returns:
        Number of checkpoints removed; 0 if the saver's own `prune` did the work.

    Raises:
        InputError: `keep` is below 1, or the thread cannot be pruned in this saver, or not without
            its graph.
    """
    _check(keep)
    if isinstance(saver, InMemorySaver):
        complete(saver, thread_id, _plan(_memory_rows(saver, thread_id), keep).incomplete, graph)
        return _prune_memory(saver, thread_id, keep)
    if is_sqlite(saver):
        lent: Any = _sqlite(saver)
    elif is_postgres(saver):
        lent = _postgres(saver)
    else:
        _only_the_last(saver, "prune", keep)
        complete(saver, thread_id, [LATEST], graph)
        saver.prune([thread_id], strategy="keep_latest")
        return 0
    with lent() as (cursor, sql):
        plan = _plan(cursor.execute(sql.steps, [thread_id]).fetchall(), keep)
    complete(saver, thread_id, plan.incomplete, graph)
    with lent() as (cursor, sql):
        plan = _whole(_plan(cursor.execute(sql.steps, [thread_id]).fetchall(), keep))
        for statement, rows in sql.removal(plan, thread_id):
            cursor.executemany(statement, rows)
    return len(plan.dropped)


async def aprune_thread(
    saver: Saver, thread_id: str, *, keep: int = 1, graph: Graph | None = None
) -> int:
    """Remove a thread's old checkpoints from an async saver. See `prune_thread`."""
    _check(keep)
    if isinstance(saver, InMemorySaver):
        return prune_thread(saver, thread_id, keep=keep, graph=graph)
    if is_async_sqlite(saver):
        lent: Any = _asqlite(saver)
    elif is_postgres(saver):
        lent = _apostgres(saver)
    else:
        _only_the_last(saver, "aprune", keep)
        await acomplete(saver, thread_id, [LATEST], graph)
        await saver.aprune([thread_id], strategy="keep_latest")
        return 0
    async with lent() as (cursor, sql):
        await cursor.execute(sql.steps, [thread_id])
        plan = _plan(await cursor.fetchall(), keep)
    await acomplete(saver, thread_id, plan.incomplete, graph)
    async with lent() as (cursor, sql):
        await cursor.execute(sql.steps, [thread_id])
        plan = _whole(_plan(await cursor.fetchall(), keep))
        for statement, rows in sql.removal(plan, thread_id):
            await cursor.executemany(statement, rows)
    return len(plan.dropped)


def _check(keep: int) -> None:
    if keep < 1:
        raise InputError(
            f"keep is {keep}: a thread needs its last checkpoint; delete the thread to forget it"
        )


def _only_the_last(saver: Saver, method: str, keep: int) -> None:
    own = getattr(type(saver), method) is not getattr(BaseCheckpointSaver, method)
    if not own or keep != 1:
        raise InputError(
            f"threads in {a_kind(saver)} cannot be pruned to {keep} turns: use a saver "
            "for memory, SQLite or PostgreSQL" + (", or keep=1" if own else "")
        )


# Planning --------------------------------------------------------------------------------------


def _plan(rows: Sequence[Sequence[Any]], keep: int) -> Plan:
    steps = [Step(n, i, parent, _metadata(data)) for n, i, parent, data in rows]
    kept = _kept(steps, keep)
    staying = [step for step in steps if (step.namespace, step.id) in kept]
    orphaned = [step for step in staying if (step.namespace, step.parent) not in kept]
    return Plan(
        dropped=[(s.namespace, s.id) for s in steps if (s.namespace, s.id) not in kept],
        orphaned=[(s.namespace, s.id) for s in orphaned],
        incomplete=[(s.namespace, s.id) for s in orphaned if s.metadata.get(COUNTERS)],
    )


def _whole(plan: Plan) -> Plan:
    if plan.incomplete:
        raise InputError(
            "a turn of the thread ran while it was pruned: prune it again, with Turns.prune, which "
            "holds the thread's lock"
        )
    return plan


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


def _memory_rows(saver: InMemorySaver, thread_id: str) -> list[tuple[Any, ...]]:
    return [
        (namespace, id, parent, saver.serde.loads_typed(metadata))
        for namespace, steps in saver.storage.get(thread_id, {}).items()
        for id, (_, metadata, parent) in steps.items()
    ]


def _prune_memory(saver: InMemorySaver, thread_id: str, keep: int) -> int:
    stored = saver.storage.get(thread_id, {})
    plan = _plan(_memory_rows(saver, thread_id), keep)
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


class Dialect(NamedTuple):
    """The SQL of one kind of database."""

    mark: str
    """Stands for a parameter."""
    writes: str
    """The table of the steps' writes."""
    blobs: str | None = None
    """Removes the values that no checkpoint uses, if they have a table of their own."""

    @property
    def steps(self) -> str:
        """Selects a thread's checkpoints, as `_plan` reads them."""
        return _STEPS.format(self.mark)

    def removal(
        self, plan: Plan, thread_id: str
    ) -> Iterator[tuple[str, Sequence[tuple[str, ...]]]]:
        """Yield the statements that carry a plan out, each with its rows of parameters."""
        one = _ONE.format(self.mark)
        dropped = [(thread_id, *step) for step in plan.dropped]
        orphaned = [(thread_id, *step) for step in plan.orphaned]
        if dropped:
            yield f"DELETE FROM {self.writes} {one}", dropped
            yield f"DELETE FROM checkpoints {one}", dropped
        if orphaned:
            yield f"UPDATE checkpoints SET parent_checkpoint_id = NULL {one}", orphaned
        if self.blobs:
            yield self.blobs, [(thread_id,)]


SQLITE = Dialect("?", "writes")
POSTGRES = Dialect("%s", "checkpoint_writes", _UNUSED_BLOBS)


def _sqlite(saver: Any) -> Any:
    @contextmanager
    def lent() -> Iterator[tuple[Any, Dialect]]:
        with saver.lock, saver.conn as connection:
            saver.setup()
            yield connection.cursor(), SQLITE

    return lent


def _asqlite(saver: Any) -> Any:
    @asynccontextmanager
    async def lent() -> AsyncIterator[tuple[Any, Dialect]]:
        await saver.setup()
        async with saver.lock, saver.conn.cursor() as cursor:
            try:
                yield cursor, SQLITE
                await saver.conn.commit()
            except BaseException:
                await saver.conn.rollback()
                raise

    return lent


def _postgres(saver: Any) -> Any:
    """A PostgreSQL saver holds a connection or a pool of them."""

    @contextmanager
    def lent() -> Iterator[tuple[Any, Dialect]]:
        held = saver.conn
        pooled = held.connection() if hasattr(held, "getconn") else nullcontext(held)
        with pooled as connection, saver.lock, connection.transaction():
            yield connection.cursor(row_factory=_tuples()), POSTGRES

    return lent


def _apostgres(saver: Any) -> Any:
    @asynccontextmanager
    async def lent() -> AsyncIterator[tuple[Any, Dialect]]:
        held = saver.conn
        pooled = held.connection() if hasattr(held, "getconn") else nullcontext(held)
        async with pooled as connection, saver.lock, connection.transaction():
            yield connection.cursor(row_factory=_tuples()), POSTGRES

    return lent


def _tuples() -> Any:
    from psycopg.rows import tuple_row

    return tuple_row
