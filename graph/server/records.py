"""The server's tables: whose a thread is, its turns and their events, and the chats of front ends.

What was said is in LangGraph's checkpoints; only the events repeat parts of it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langgraph_cooper.graph.server.database import Database, Row, Statement

Status = Literal["running", "completed", "interrupted", "stopped", "failed"]

TABLES = (
    """CREATE TABLE IF NOT EXISTS cooper_threads (
        thread_id text PRIMARY KEY, owner text NOT NULL, task text NOT NULL,
        created double precision NOT NULL, used double precision NOT NULL, parent text)""",
    "CREATE INDEX IF NOT EXISTS cooper_threads_owner ON cooper_threads (owner, used)",
    """CREATE TABLE IF NOT EXISTS cooper_turns (
        thread_id text NOT NULL, turn text NOT NULL, said text NOT NULL, status text NOT NULL,
        began double precision NOT NULL, ended double precision, checkpoint text,
        PRIMARY KEY (thread_id, turn))""",
    "CREATE INDEX IF NOT EXISTS cooper_turns_ended ON cooper_turns (ended)",
    """CREATE TABLE IF NOT EXISTS cooper_events (
        thread_id text NOT NULL, turn text NOT NULL, number bigint NOT NULL, data text NOT NULL,
        PRIMARY KEY (thread_id, turn, number))""",
    """CREATE TABLE IF NOT EXISTS cooper_chats (
        chat text PRIMARY KEY, thread_id text NOT NULL, checkpoint text)""",
    "CREATE INDEX IF NOT EXISTS cooper_chats_thread ON cooper_chats (thread_id)",
)
OWN = ("cooper_threads", "cooper_turns", "cooper_events", "cooper_chats")


@dataclass(frozen=True)
class Thread:
    """A conversation and its owner."""

    id: str
    owner: str
    task: str
    created: float
    used: float
    parent: str | None = None


@dataclass(frozen=True)
class Turn:
    """A turn of a thread.

    Attributes:
        said: A hash of the message, to tell a repetition from another message with its id.
        checkpoint: The state after it, where it was completed.
    """

    id: str
    said: str
    status: Status
    began: float
    checkpoint: str | None


@dataclass(frozen=True)
class Logged:
    """An event in the log of a turn: its number there, and the event as JSON."""

    number: int
    data: str

    @property
    def event(self) -> dict[str, Any]:
        """The event's fields."""
        event: dict[str, Any] = json.loads(self.data)
        return event


@dataclass(frozen=True)
class Place:
    """A thread as it was at a checkpoint."""

    thread: str
    checkpoint: str | None


class Records:
    """Reads and writes the server's tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def shared(self) -> bool:
        """Whether other processes may use the tables at the same time."""
        return self._database.shared

    async def set_up(self) -> None:
        """Make the tables that are missing."""
        await self._database.write([(table, ()) for table in TABLES])

    async def sweep(self) -> None:
        """Leave nothing of deleted rows in the files of the database, as far as that is ours."""
        await self._database.sweep()

    async def check(self) -> None:
        """Raise the database's error if it cannot be reached."""
        await self._database.fetch("SELECT 1 FROM cooper_threads LIMIT 1")

    # Threads ---------------------------------------------------------------------------------

    async def add_thread(self, thread: Thread) -> None:
        """Add a thread."""
        values = (thread.id, thread.owner, thread.task, thread.created, thread.used, thread.parent)
        await self._database.write(
            [("INSERT INTO cooper_threads VALUES (?, ?, ?, ?, ?, ?)", values)]
        )

    async def thread(self, id: str, owner: str) -> Thread | None:
        """Return a thread if there is one, and it is this owner's."""
        query = "SELECT * FROM cooper_threads WHERE thread_id = ? AND owner = ?"
        rows = await self._database.fetch(query, id, owner)
        return _thread(rows[0]) if rows else None

    async def has_thread(self, id: str) -> bool:
        """Return whether a thread is there, whoever owns it."""
        query = "SELECT 1 FROM cooper_threads WHERE thread_id = ?"
        return bool(await self._database.fetch(query, id))

    async def threads(self, owner: str, limit: int, offset: int) -> list[Thread]:
        """Return an owner's threads, the last used first."""
        query = (
            "SELECT * FROM cooper_threads WHERE owner = ? ORDER BY used DESC, thread_id "
            "LIMIT ? OFFSET ?"
        )
        return [_thread(row) for row in await self._database.fetch(query, owner, limit, offset)]

    async def delete_thread(self, id: str) -> None:
        """Delete all that is known of a thread."""
        await self._database.write(
            [(f"DELETE FROM {table} WHERE thread_id = ?", (id,)) for table in OWN]
        )

    # Turns -----------------------------------------------------------------------------------

    async def turn(self, thread: str, turn: str) -> Turn | None:
        """Return a turn if it has begun."""
        query = "SELECT * FROM cooper_turns WHERE thread_id = ? AND turn = ?"
        rows = await self._database.fetch(query, thread, turn)
        return _turn(rows[0]) if rows else None

    async def turns(self, thread: str) -> list[Turn]:
        """Return the turns of a thread, the first first."""
        query = "SELECT * FROM cooper_turns WHERE thread_id = ? ORDER BY began"
        return [_turn(row) for row in await self._database.fetch(query, thread)]

    async def begin_turn(self, thread: str, turn: str, said: str) -> int | None:
        """Note that a turn runs; return the number of its last event, or None without a thread."""
        now = time.time()
        known = await self._database.fetch(
            "UPDATE cooper_threads SET used = ? WHERE thread_id = ? RETURNING thread_id",
            now,
            thread,
        )
        if not known:
            return None
        await self._database.write([(
            "INSERT INTO cooper_turns VALUES (?, ?, ?, 'running', ?, NULL, NULL) ON CONFLICT "
            "(thread_id, turn) DO UPDATE SET status = 'running', ended = NULL",
            (thread, turn, said, now),
        )])  # fmt: skip
        rows = await self._database.fetch(
            "SELECT max(number) AS last FROM cooper_events WHERE thread_id = ? AND turn = ?",
            thread,
            turn,
        )
        return int(rows[0]["last"] or 0)

    async def log(
        self,
        thread: str,
        turn: str,
        events: Sequence[Logged],
        ended: tuple[Status, str | None] | None = None,
    ) -> None:
        """Add events to a turn's log, and its end: how it ended, and at which checkpoint.

        Nothing is added to a turn that was deleted. A deletion under way is waited for: both need
        the turn's row.
        """
        where = " WHERE thread_id = ? AND turn = ?"
        key = (thread, turn)
        statements: list[Statement] = []
        if ended:
            end = "UPDATE cooper_turns SET status = ?, ended = ?, checkpoint = ?" + where
            statements.append((end, (ended[0], time.time(), ended[1], *key)))
        else:
            statements.append(("UPDATE cooper_turns SET status = status" + where, key))
        add = (
            "INSERT INTO cooper_events SELECT thread_id, turn, CAST(? AS bigint), CAST(? AS text) "
            "FROM cooper_turns" + where + " ON CONFLICT DO NOTHING"
        )
        statements += [(add, (e.number, e.data, *key)) for e in events]
        await self._database.write(statements, news=f"log {thread} {turn}")

    async def events(self, thread: str, turn: str, after: int, limit: int = 500) -> list[Logged]:
        """Return the next events of a turn's log."""
        query = (
            "SELECT number, data FROM cooper_events WHERE thread_id = ? AND turn = ? AND "
            "number > ? ORDER BY number LIMIT ?"
        )
        rows = await self._database.fetch(query, thread, turn, after, limit)
        return [Logged(row["number"], row["data"]) for row in rows]

    async def request_stop(self, thread: str, turn: str) -> None:
        """Ask the process that runs a turn to stop it."""
        await self._database.write([], news=f"stop {thread} {turn}")

    async def forget_events(self, before: float) -> None:
        """Delete the events of turns that ended earlier, or that a crash cut.

        Those of a cut turn go once its thread was not used since.
        """
        await self._database.write([(
            "DELETE FROM cooper_events WHERE EXISTS (SELECT 1 FROM cooper_turns t WHERE "
            "t.thread_id = cooper_events.thread_id AND t.turn = cooper_events.turn AND "
            "(t.ended < ? OR (t.ended IS NULL AND EXISTS (SELECT 1 FROM cooper_threads h WHERE "
            "h.thread_id = t.thread_id AND h.used < ?))))",
            (before, before),
        )])  # fmt: skip

    # Chats of front ends ---------------------------------------------------------------------

    async def chat(self, key: str) -> Place | None:
        """Return where a chat's transcript is kept."""
        query = "SELECT thread_id, checkpoint FROM cooper_chats WHERE chat = ?"
        rows = await self._database.fetch(query, key)
        return Place(rows[0]["thread_id"], rows[0]["checkpoint"]) if rows else None

    async def keep_chat(self, keys: Sequence[str], place: Place) -> None:
        """Note where transcripts are kept; the last place counts."""
        await self._database.write([
            (
                "INSERT INTO cooper_chats VALUES (?, ?, ?) ON CONFLICT (chat) DO UPDATE SET "
                "thread_id = excluded.thread_id, checkpoint = excluded.checkpoint",
                (key, place.thread, place.checkpoint),
            )
            for key in keys
        ])  # fmt: skip


def _thread(row: Row) -> Thread:
    known = ("owner", "task", "created", "used", "parent")
    return Thread(row["thread_id"], **{name: row[name] for name in known})


def _turn(row: Row) -> Turn:
    known = ("said", "status", "began", "checkpoint")
    return Turn(row["turn"], **{name: row[name] for name in known})
