"""Where `cooper chat` keeps conversations."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from langgraph_cooper.prompts import CooperError

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver


HEADER = b"SQLite format 3\0"


class StoreError(CooperError):
    """The file of conversations cannot be used, or one of its threads cannot."""


@contextmanager
def conversation_store(path: Path | None) -> Iterator[BaseCheckpointSaver[str]]:
    """Open a checkpointer: an SQLite file, or memory if there is no path.

    Raises:
        StoreError: The file cannot be opened, is no SQLite database, belongs to another program,
            or fails later on.
    """
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.checkpoint.sqlite import SqliteSaver

    from langgraph_cooper.graph.threads.serde import cooper_serde

    if path is None:
        yield InMemorySaver(serde=cooper_serde())
        return
    _make_private(path)
    with ExitStack() as opened:
        try:
            connection = sqlite3.connect(path, check_same_thread=False)
            opened.callback(connection.close)
            connection.execute("PRAGMA schema_version")
            saver = SqliteSaver(connection, serde=cooper_serde())
            saver.setup()
            connection.execute(
                "SELECT thread_id, checkpoint_ns, checkpoint_id, checkpoint FROM checkpoints "
                "LIMIT 1"
            )
        except sqlite3.Error as error:
            if _is_damaged(error):
                raise _damaged(path, error) from None
            raise StoreError(
                f"{path} cannot be used to keep conversations: {error}; choose a file in a folder "
                "that exists and can be written, or a new name"
            ) from None
        try:
            yield saver
        except sqlite3.Error as error:
            if _is_damaged(error):
                raise _damaged(path, error) from error
            raise StoreError(
                f"{path} cannot keep the conversation any more: {error}; what was answered before "
                "is kept; close other programs that use the file or make room, then start again"
            ) from error


def _is_damaged(error: sqlite3.Error) -> bool:
    """Return whether a file's bytes are at fault: neither another program nor a lack of room."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the details
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _damaged(path: Path, error: sqlite3.Error) -> StoreError:
    with path.open("rb") as file:
        begins = file.read(len(HEADER))
    if begins != HEADER:
        return StoreError(
            f"{path} is not an SQLite database; it was left as it is: choose another file for --db"
        )
    return StoreError(
        f"{path} is damaged or cut short ({error}): put a backup in its place, or choose another "
        "file for --db"
    )


def _make_private(path: Path) -> None:
    """Make a new file that only its owner can read; SQLite gives its `-wal` the same mode."""
    with suppress(OSError):  # it exists, or SQLite will report why it cannot be made
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


class OwnThread:
    """Keeps other programs out of a thread of a file, with the lock that `Turns` uses.

    Args:
        path: The file; None for conversations in memory, which no other program can enter.
        thread: The thread.

    Raises:
        StoreError: Another program is using the thread.
    """

    def __init__(self, path: Path | None, thread: str) -> None:
        from langgraph_cooper.graph.threads.locks import lock_beside

        self._lock = lock_beside(path) if path else None
        self._thread = thread
        if self._lock and not self._lock.try_acquire(thread):
            raise StoreError(
                f"the thread {thread!r} in {path} is in use by another program: end that one, or "
                "choose another --thread"
            )

    def release(self) -> None:
        """Let other programs in."""
        if self._lock:
            self._lock.release(self._thread)

    def move(self, thread: str) -> bool:
        """Keep others out of another thread instead; return False if one of them is using it."""
        if self._lock:
            if not self._lock.try_acquire(thread):
                return False
            self._lock.release(self._thread)
        self._thread = thread
        return True


@contextmanager
def own_thread(path: Path | None, thread: str) -> Iterator[OwnThread]:
    """Own a thread of a file for a block. See `OwnThread`."""
    owned = OwnThread(path, thread)
    try:
        yield owned
    finally:
        owned.release()
