"""Where `cooper chat` keeps conversations."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver

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
        yield InMemorySaver()
        return
    try:
        connection = sqlite3.connect(path, check_same_thread=False)
        connection.execute("PRAGMA schema_version")
        saver = SqliteSaver(connection)
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
