"""Locks that keep the turns of one thread apart: in a process, on a machine, across machines.

They offer `try_acquire` alone, so that no kind of lock needs an OS thread or a connection per
waiting call. `Turns` does the waiting.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from abc import ABC, abstractmethod
from asyncio import AbstractEventLoop
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol
from weakref import WeakKeyDictionary

from langgraph.checkpoint.base import BaseCheckpointSaver

from langgraph_cooper.nodes.errors import InputError
from langgraph_cooper.prompts import CooperError
from langgraph_cooper.prompts.extras import install
from langgraph_cooper.ranker.model.forking import renew_after_fork, wait_before_fork

if TYPE_CHECKING:
    from filelock import BaseFileLock
    from psycopg import Connection

Saver = BaseCheckpointSaver[Any]
logger = logging.getLogger(__name__)

HOLDER: ContextVar[AbstractEventLoop | None] = ContextVar("holder", default=None)
"""The event loop that takes or releases a lock; None in sync code."""


class LockError(CooperError):
    """The folder or the database of the locks cannot be used."""


class TurnLock(Protocol):
    """One lock per conversation thread. Its methods are called from any OS thread."""

    def try_acquire(self, thread_id: str) -> bool:
        """Take the lock of a thread if it is free, without waiting; return whether it was."""

    def release(self, thread_id: str) -> None:
        """Release the lock."""


class _Lock(ABC):
    """A lock that is released for an event loop that was closed.

    If a loop is closed in mid-turn without its tasks being cancelled, they never run again.
    """

    _holders: ClassVar[set[tuple[_Lock, str, AbstractEventLoop | None]]] = set()

    def __init__(self) -> None:
        renew_after_fork(self)

    def forked(self) -> None:
        """Forget in a child the turns of its parent."""
        self._holders.clear()

    def try_acquire(self, thread_id: str) -> bool:
        """Take the lock of a thread if it is free, without waiting; return whether it was.

        Raises:
            LockError: The lock's folder or database cannot be used.
        """
        self._release_closed()
        if taken := self._take(thread_id):
            self._holders.add((self, thread_id, HOLDER.get()))
        return taken

    def release(self, thread_id: str) -> None:
        """Release the lock, if it is the caller's."""
        self._release(thread_id, HOLDER.get())

    def _release(self, thread_id: str, holder: AbstractEventLoop | None) -> None:
        try:
            self._holders.remove((self, thread_id, holder))
        except KeyError:  # a closed loop's release may come late, when another has the lock
            return
        self._give_back(thread_id)

    def _release_closed(self) -> None:
        """Release what closed loops hold, in all locks: other processes may wait for it."""
        closed = [held for held in list(self._holders) if held[2] and held[2].is_closed()]
        for lock, thread_id, loop in closed:
            lock._release(thread_id, loop)

    @abstractmethod
    def _take(self, thread_id: str) -> bool: ...

    @abstractmethod
    def _give_back(self, thread_id: str) -> None: ...


class ProcessLock(_Lock):
    """Locks within this process: enough where the conversations are in its memory.

    Args:
        saver: The checkpointer. All `Turns` on one saver share their locks.
    """

    _held_in: ClassVar[WeakKeyDictionary[Saver, set[str]]] = WeakKeyDictionary()
    _guard = threading.Lock()
    wait_before_fork(_guard)

    def __init__(self, saver: Saver) -> None:
        with self._guard:
            self._held = self._held_in.setdefault(saver, set())
        super().__init__()

    def forked(self) -> None:
        """Forget in a child the turns of its parent."""
        super().forked()
        self._held.clear()

    def _take(self, thread_id: str) -> bool:
        with self._guard:
            if thread_id in self._held:
                return False
            self._held.add(thread_id)
            return True

    def _give_back(self, thread_id: str) -> None:
        with self._guard:
            self._held.discard(thread_id)


class FileLock(_Lock):
    """Locks between the processes of one machine: locked files in a folder.

    The operating system releases a lock when its process ends, even by kill -9. Do not use it on
    network file systems, whose locks (like SQLite on them) are unreliable.

    Args:
        folder: Where the files are. It is made when it is first needed, and each file exists only
            while its thread is locked.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, BaseFileLock] = {}
        super().__init__()

    def forked(self) -> None:
        """Forget in a child the locks of its parent, which filelock has closed there."""
        super().forked()
        self._held.clear()

    def _take(self, thread_id: str) -> bool:
        import filelock

        name = hashlib.sha256(thread_id.encode()).hexdigest()[:32]
        file = filelock.FileLock(self._folder / f"{name}.lock", thread_local=False)
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            file.acquire(blocking=False)
        except filelock.Timeout:
            return False
        except OSError as error:
            raise LockError(
                f"{self._folder} cannot hold the locks of threads: {error.strerror or error}; make "
                "its folder writable"
            ) from error
        self._held[thread_id] = file
        return True

    def _give_back(self, thread_id: str) -> None:
        """Remove the file, too; other holders of the file then make a new one."""
        file = self._held.pop(thread_id, None)
        if file is None:  # a child that was forked in mid-turn: the lock is its parent's
            return
        with suppress(OSError):  # Windows does not remove an open file: it stays, empty
            Path(file.lock_file).unlink()
        file.release()


class PostgresLock(_Lock):
    """Locks between all processes that use one PostgreSQL database: its advisory locks.

    One connection holds all locks of this object. It is open while there are any, and PostgreSQL
    releases them when it ends, also because the process dies. The connection must not go through a
    pooler that assigns server connections per transaction (pgbouncer's "transaction" mode).

    Args:
        conninfo: A connection string for psycopg, such as `postgresql://user@host/database`.
    """

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._held: set[str] = set()
        self._guard = threading.Lock()
        self._connection: Connection | None = None
        super().__init__()

    def forked(self) -> None:
        """Forget in a child the connection of its parent; psycopg does not close it from there."""
        super().forked()
        self._held, self._guard, self._connection = set(), threading.Lock(), None

    def __repr__(self) -> str:
        return "PostgresLock(…)"  # the connection string may hold a password

    def _take(self, thread_id: str) -> bool:
        with self._guard:
            if thread_id in self._held:  # PostgreSQL grants a connection its own lock again
                return False
            if self._ask("SELECT pg_try_advisory_lock(%s)", thread_id):
                self._held.add(thread_id)
                return True
            self._close_if_idle()
            return False

    def _give_back(self, thread_id: str) -> None:
        with self._guard:
            if thread_id not in self._held:  # as in a child that was forked in mid-turn
                return
            self._held.discard(thread_id)
            try:
                if not self._ask("SELECT pg_advisory_unlock(%s)", thread_id):
                    logger.warning("a thread's lock was lost with its connection")
            except LockError as error:
                logger.warning("a thread's lock was lost: %s", error)
            self._close_if_idle()

    def _ask(self, query: str, thread_id: str) -> bool:
        try:
            import psycopg
        except ImportError as error:
            raise LockError(f"PostgresLock needs psycopg: {install('postgres')}") from error
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(self._conninfo, autocommit=True)
            row = self._connection.execute(query, [_key(thread_id)]).fetchone()
        except psycopg.Error as error:
            why = " ".join(str(error).split())
            raise LockError(
                f"the database that holds the locks of threads cannot be used ({why}): start it, "
                "or correct the connection string of PostgresLock"
            ) from error
        return bool(row and row[0])

    def _close_if_idle(self) -> None:
        if not self._held and self._connection is not None:
            self._connection.close()
            self._connection = None


def _key(thread_id: str) -> int:
    """Return the lock's number: 64 bits, in one space with the locks of other applications."""
    digest = hashlib.sha256(b"langgraph-cooper turn\0" + thread_id.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def lock_beside(database: Path) -> FileLock:
    """Return the lock for the threads of an SQLite file: a folder beside it, like its `-wal`."""
    database = database.resolve()
    return FileLock(database.with_name(f"{database.name}-turns"))


def lock_for(saver: Saver) -> TurnLock:
    """Return the lock that suits a saver, in sync code. See `alock_for`."""
    if is_async_sqlite(saver):
        import asyncio

        found = asyncio.run_coroutine_threadsafe(alock_for(saver), saver.loop)  # type: ignore[attr-defined]
        return found.result()
    if is_sqlite(saver):
        rows = saver.conn.execute("PRAGMA database_list").fetchall()  # type: ignore[attr-defined]
        return _sqlite_lock(saver, rows)
    return _other_lock(saver)


async def alock_for(saver: Saver) -> TurnLock:
    """Return the lock that suits a saver: files beside an SQLite database, else in this process.

    Raises:
        InputError: The saver is PostgreSQL's: its lock requires a connection string.
    """
    if not is_async_sqlite(saver):
        return lock_for(saver)
    async with saver.conn.execute("PRAGMA database_list") as cursor:  # type: ignore[attr-defined]
        rows = await cursor.fetchall()
    return _sqlite_lock(saver, rows)


def _sqlite_lock(saver: Saver, rows: list[tuple[int, str, str]]) -> TurnLock:
    file = next(file for _, name, file in rows if name == "main")
    return lock_beside(Path(file)) if file else ProcessLock(saver)


def _other_lock(saver: Saver) -> TurnLock:
    if is_postgres(saver):
        raise InputError(
            "Turns on a PostgreSQL saver needs a lock in the database: pass "
            "lock=PostgresLock(conninfo) with the connection string of the saver"
        )
    return ProcessLock(saver)


def is_sqlite(saver: Saver) -> bool:
    """Return whether this is LangGraph's sync saver for SQLite."""
    from langgraph.checkpoint.sqlite import SqliteSaver

    return isinstance(saver, SqliteSaver)


def is_async_sqlite(saver: Saver) -> bool:
    """Return whether this is LangGraph's async saver for SQLite."""
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    return isinstance(saver, AsyncSqliteSaver)


def is_postgres(saver: Saver) -> bool:
    """Return whether this is a LangGraph saver for PostgreSQL, which need not be installed."""
    return any(
        kind.__module__.startswith("langgraph.checkpoint.postgres") for kind in type(saver).__mro__
    )
