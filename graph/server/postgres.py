"""The server's tables in PostgreSQL, and its notifications between replicas."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from langgraph_cooper.graph.server.database import Hear, Row, Statement

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool

CHANNEL = "cooper_server"
AGAIN = 1.0  # seconds until a lost connection is opened again

logger = logging.getLogger(__name__)


class PostgresDatabase:
    """Tables in PostgreSQL.

    Args:
        pool: Connections in autocommit mode whose rows are dicts.
    """

    shared = True

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def fetch(self, query: str, *values: Any) -> list[Row]:
        """Run a statement and return its rows."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_form(query), values)
            return list(await cursor.fetchall())

    async def write(self, statements: Sequence[Statement], news: str | None = None) -> None:
        """Run statements in one transaction; the other replicas get the news when it is done."""
        async with self._pool.connection() as connection, connection.transaction():
            for query, values in statements:
                await connection.execute(_form(query), values)
            if news:
                await connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, news))

    async def sweep(self) -> None:
        """Leave it to PostgreSQL, whose autovacuum and archives are the operator's."""


def _form(query: str) -> bytes:
    return query.replace("?", "%s").encode()


async def listen(conninfo: str, hear: Hear) -> None:
    """Hear the news of all replicas until cancelled, through a connection of its own.

    While it is lost, followers of a turn still ask the database from time to time.
    """
    while True:
        try:
            async with await AsyncConnection.connect(
                conninfo, autocommit=True, row_factory=dict_row
            ) as connection:
                await connection.execute(f"LISTEN {CHANNEL}".encode())
                async for notice in connection.notifies():
                    hear(notice.payload)
        except Exception as error:  # whatever it is, the next connection may hear again
            why = " ".join(str(error).split()) or type(error).__name__
            logger.warning("the news of other replicas are not heard: %s", why)
        await asyncio.sleep(AGAIN)
