"""Where the server keeps conversations: an SQLite file, or PostgreSQL for several replicas."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from langgraph_cooper.graph.server.database import Hear
from langgraph_cooper.graph.server.records import Records
from langgraph_cooper.graph.server.savers import WholeWrites
from langgraph_cooper.graph.server.sqlite import SqliteDatabase
from langgraph_cooper.graph.threads.locks import PostgresLock, TurnLock, lock_beside
from langgraph_cooper.graph.threads.serde import cooper_serde
from langgraph_cooper.prompts import CooperError
from langgraph_cooper.prompts.extras import install

Saver = BaseCheckpointSaver[Any]

SERVING = "the server"
"""The lock that a server takes on an SQLite file; no thread has this id, as it has a space."""

SCHEMES = ("postgresql://", "postgres://")
CONNECTIONS = 10
SECONDS = 5.0  # until a request gives up on a database that does not answer
SETTING_UP = 7_203_911_450_126  # one replica at a time makes the tables


class ServerStoreError(CooperError):
    """The file or the database of the conversations cannot be used."""


@dataclass(frozen=True)
class Store:
    """Where conversations are kept.

    Attributes:
        new_saver: Makes a checkpointer. Each has a lock of its own, so each task gets one.
        lock: Keeps the turns of a thread apart.
        records: The server's own tables.
    """

    new_saver: Callable[[], Saver]
    lock: TurnLock
    records: Records


def is_url(store: str) -> bool:
    """Return whether a store is PostgreSQL's."""
    return store.startswith(SCHEMES) or "dbname=" in store


def default_file() -> Path:
    """Return the file in the user's data folder, which is made."""
    from platformdirs import user_data_path

    return user_data_path("langgraph-cooper", appauthor=False, ensure_exists=True) / "server.sqlite"


@asynccontextmanager
async def open_store(where: str | None, hear: Hear) -> AsyncIterator[Store]:
    """Open a store, and make its tables.

    Args:
        where: A file, or the URL of a PostgreSQL database; None: `default_file`.
        hear: Is given the news of other replicas.

    Raises:
        ServerStoreError: It cannot be used, or another server uses the file.
    """
    if where and is_url(where):
        async with _open_postgres(where, hear) as store:
            yield store
    else:
        async with _open_sqlite(Path(where) if where else default_file()) as store:
            yield store


@asynccontextmanager
async def _open_sqlite(path: Path) -> AsyncIterator[Store]:
    import aiosqlite
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    class SqliteSaver(WholeWrites, AsyncSqliteSaver):
        """LangGraph's, with whole writes."""

    if not path.parent.is_dir():  # its locks would be the first to fail, with another remedy
        raise ServerStoreError(
            f"{path} cannot keep conversations: the folder {path.parent} is not there: make it, or "
            "name a file in a folder that exists with --store"
        )
    with suppress(OSError):  # only its owner can read a new file; others SQLite will report
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    lock = lock_beside(path)
    if not lock.try_acquire(SERVING):
        raise ServerStoreError(
            f"another server uses {path}: end it, name another file with --store, or use "
            "PostgreSQL, which several servers can share"
        )
    async with AsyncExitStack() as opened:
        opened.callback(lock.release, SERVING)
        try:
            saving = await opened.enter_async_context(aiosqlite.connect(path))
            own = await opened.enter_async_context(aiosqlite.connect(path, isolation_level=None))
            saver = SqliteSaver(saving, serde=cooper_serde())
            await saver.setup()
            for connection in (saving, own):
                await connection.execute("PRAGMA synchronous = NORMAL")
                await connection.execute("PRAGMA secure_delete = ON")
            records = Records(SqliteDatabase(own))
            await records.set_up()
        except sqlite3.Error as error:
            raise ServerStoreError(
                f"{path} cannot keep conversations ({error}): name an SQLite file, or a new one in "
                "a folder that can be written, with --store"
            ) from None
        yield Store(lambda: saver, lock, records)


@asynccontextmanager
async def _open_postgres(conninfo: str, hear: Hear) -> AsyncIterator[Store]:
    try:
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
        from psycopg import AsyncConnection, Error
        from psycopg.rows import DictRow, dict_row
        from psycopg_pool import AsyncConnectionPool

        from langgraph_cooper.graph.server.postgres import PostgresDatabase, listen
    except ImportError as error:
        raise ServerStoreError(
            f"a store in PostgreSQL needs psycopg: {install('postgres', 'serve')}"
        ) from error

    class PostgresSaver(WholeWrites, AsyncPostgresSaver):
        """LangGraph's, with whole writes."""

    how = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    pool: AsyncConnectionPool[AsyncConnection[DictRow]] = AsyncConnectionPool(
        conninfo,
        kwargs={**how, "connect_timeout": int(SECONDS)},
        min_size=1,
        max_size=CONNECTIONS,
        timeout=SECONDS,
        open=False,
        check=AsyncConnectionPool.check_connection,
    )
    async with AsyncExitStack() as opened:
        try:
            await (await AsyncConnection.connect(conninfo, connect_timeout=int(SECONDS))).close()
            await pool.open(wait=True, timeout=SECONDS)  # it would log each of its attempts
            opened.push_async_callback(pool.close)
            records = Records(PostgresDatabase(pool))
            async with pool.connection() as connection:
                await connection.execute("SELECT pg_advisory_lock(%s)", (SETTING_UP,))
                await PostgresSaver(pool, serde=cooper_serde()).setup()
                await records.set_up()
                await connection.execute("SELECT pg_advisory_unlock(%s)", (SETTING_UP,))
        except Error as error:
            await pool.close()
            raise ServerStoreError(
                "the PostgreSQL database of --store cannot be used "
                f"({' '.join(str(error).split())}): start it, or correct the URL"
            ) from None
        listening = asyncio.create_task(listen(conninfo, hear))
        opened.callback(listening.cancel)
        yield Store(
            lambda: PostgresSaver(pool, serde=cooper_serde()), PostgresLock(conninfo), records
        )
