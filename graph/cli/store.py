"""Where `cooper chat` keeps conversations."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver

from langgraph_cooper.graph.threads.locks import lock_beside
from langgraph_cooper.graph.threads.serde import cooper_serde
from langgraph_cooper.prompts import CooperError


class StoreError(CooperError):
    """The file that should keep the conversations cannot."""


@contextmanager
def storing(path: Path | None) -> Iterator[None]:
    """Turns what SQLite raises in the middle of a conversation into one clear error."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(
            f"{path} cannot keep the conversation any more: {error}; what was answered before is "
            "kept; close other programs that use the file or make room, then start again"
        ) from error


@contextmanager
def conversation_store(path: Path | None) -> Iterator[BaseCheckpointSaver[str]]:
    """Opens the checkpointer: an SQLite file, or memory if there is no path.

    Raises:
        StoreError: The file cannot be opened, is no SQLite database, or belongs to another program.
    """
    if path is None:
        yield InMemorySaver(serde=cooper_serde())
        return
    _for_the_owner_alone(path)
    try:
        connection = sqlite3.connect(path, check_same_thread=False)
        connection.execute("PRAGMA schema_version")
        saver = SqliteSaver(connection, serde=cooper_serde())
        saver.setup()
        connection.execute(
            "SELECT thread_id, checkpoint_ns, checkpoint_id, checkpoint FROM checkpoints LIMIT 1"
        )
    except sqlite3.OperationalError as error:
        raise StoreError(
            f"{path} cannot be used to keep conversations: {error}; choose a file in a folder that "
            "exists and can be written, or a new name"
        ) from None
    except sqlite3.DatabaseError:
        raise StoreError(
            f"{path} is not an SQLite database; it was left as it is: choose another file for --db"
        ) from None
    try:
        yield saver
    finally:
        connection.close()


def _for_the_owner_alone(path: Path) -> None:
    """Makes a new file that nobody else on the machine can read; SQLite's `-wal` is made alike."""
    with suppress(OSError):  # it exists, or SQLite will say why it cannot be made
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


@contextmanager
def own_thread(path: Path | None, thread: str) -> Iterator[None]:
    """Keeps other commands out of a thread, as long as this one is in it.

    Raises:
        StoreError: Another one is in it.
    """
    if path is None:
        yield
        return
    lock = lock_beside(path)
    if not lock.try_acquire(thread):
        raise StoreError(
            f"the thread {thread!r} in {path} is in use by another program: end that one, or "
            "choose another --thread"
        )
    try:
        yield
    finally:
        lock.release(thread)
