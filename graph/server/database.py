"""What the server needs of a database, which is SQLite's file or PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

Row = Mapping[str, Any]
Statement = tuple[str, Sequence[Any]]
Hear = Callable[[str], None]
"""Takes the news of another process."""


class Database(Protocol):
    """Runs SQL that both databases know, with `?` for values."""

    shared: bool
    """Whether other processes may use it at the same time."""

    async def fetch(self, query: str, *values: Any) -> list[Row]:
        """Run a statement and return its rows."""

    async def write(self, statements: Sequence[Statement], news: str | None = None) -> None:
        """Run statements in one transaction, and tell the other processes afterwards."""

    async def sweep(self) -> None:
        """Remove the bytes of deleted rows from the files."""
