"""The server's tables in an SQLite file, through a connection of their own."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from langgraph_cooper.graph.server.database import Row, Statement

if TYPE_CHECKING:
    from aiosqlite import Connection

logger = logging.getLogger(__name__)


class SqliteDatabase:
    """Tables in the file that keeps the conversations.

    Args:
        connection: In autocommit mode, so that transactions are begun here.
    """

    shared = False

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._connection.row_factory = sqlite3.Row
        self._lock = asyncio.Lock()

    async def fetch(self, query: str, *values: Any) -> list[Row]:
        """Run a statement and return its rows."""
        async with self._lock, self._connection.execute(query, values) as cursor:
            return [dict(row) for row in await cursor.fetchall()]

    async def write(self, statements: Sequence[Statement], news: str | None = None) -> None:
        """Run statements in one transaction. No other process hears of them."""
        async with self._lock:
            try:  # a call that is cancelled has run all the same
                await self._connection.execute("BEGIN IMMEDIATE")
                for query, values in statements:
                    await self._connection.execute(query, values)
                await self._connection.execute("COMMIT")
            except BaseException:
                await asyncio.shield(self._roll_back())
                raise

    async def _roll_back(self) -> None:
        with suppress(sqlite3.OperationalError):  # there is no transaction
            await self._connection.execute("ROLLBACK")

    async def sweep(self) -> None:
        """Move the write-ahead log into the file, which zeroes what is deleted, and empty it."""
        (row,) = await self.fetch("PRAGMA wal_checkpoint(TRUNCATE)")
        if row["busy"]:
            logger.warning(
                "what was deleted may still be in the file's -wal, as another program reads the "
                "file: it is removed within the hour, or with the next thread that is deleted"
            )
