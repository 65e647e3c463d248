"""`cooper threads`: which conversations a file keeps, and forgetting them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from langgraph.checkpoint.sqlite import SqliteSaver
from rich.console import Console
from rich.table import Table

from langgraph_cooper.graph.cli.store import StoreError, conversation_store, own_thread, storing
from langgraph_cooper.graph.threads.pruning import prune_thread
from langgraph_cooper.nodes.errors import InputError

SIZES = """
SELECT c.thread_id, count(*), sum(length(c.checkpoint) + length(c.metadata)) + coalesce(
    (SELECT sum(length(w.value)) FROM writes w WHERE w.thread_id = c.thread_id), 0)
FROM checkpoints c GROUP BY c.thread_id ORDER BY max(c.checkpoint_id) DESC
"""


def list_threads(db: Path, *, as_json: bool) -> None:
    """Prints the threads of a file, the one that was used last first."""
    with _opened(db) as saver:
        found = [_described(saver, *row) for row in saver.conn.execute(SIZES).fetchall()]
    if as_json:
        for thread in found:
            typer.echo(json.dumps(thread, ensure_ascii=False))
        return
    table = Table("thread", "task", "messages", "last used", "checkpoints", "bytes", box=None)
    for thread in found:
        table.add_row(*(f"{v:,}" if isinstance(v, int) else str(v) for v in thread.values()))
    Console().print(table)


def _described(saver: SqliteSaver, thread: str, checkpoints: int, size: int) -> dict[str, Any]:
    saved = saver.get_tuple({"configurable": {"thread_id": thread}})
    values = saved.checkpoint["channel_values"] if saved else {}
    return {
        "thread": thread,
        "task": (values.get("cooper") or {}).get("task"),
        "messages": len(values.get("messages", [])),
        "last_used": saved.checkpoint["ts"][:19] if saved else None,
        "checkpoints": checkpoints,
        "bytes": size,
    }


def prune_threads(db: Path, thread: str | None, keep: int) -> None:
    """Removes old checkpoints of one thread, or of all, and gives the room back."""
    with _opened(db) as saver:
        threads = [thread] if thread else [row[0] for row in saver.conn.execute(SIZES)]
        before, removed = _size(db), 0
        for name in threads:
            _check_present(saver, db, name)
            with own_thread(db, name):
                removed += prune_thread(saver, name, keep=keep)
        _give_back(saver.conn)
    typer.echo(
        f"{removed:,} checkpoints of {len(threads):,} threads were removed; {db} has "
        f"{_size(db):,} bytes, before {before:,}"
    )


def delete_thread(db: Path, thread: str) -> None:
    """Removes a conversation, its bytes too."""
    with _opened(db) as saver:
        _check_present(saver, db, thread)
        with own_thread(db, thread):
            saver.delete_thread(thread)
        _give_back(saver.conn)
    typer.echo(f"the thread {thread!r} was deleted from {db}")


@contextmanager
def _opened(db: Path) -> Iterator[SqliteSaver]:
    if not db.is_file():
        raise InputError(f"{db} is not there: name the file that `cooper chat --db` made")
    with conversation_store(db) as saver, storing(db):
        assert isinstance(saver, SqliteSaver)
        saver.conn.execute("PRAGMA secure_delete = ON")
        yield saver


def _check_present(saver: SqliteSaver, db: Path, thread: str) -> None:
    query = "SELECT 1 FROM checkpoints WHERE thread_id = ? LIMIT 1"
    if saver.conn.execute(query, [thread]).fetchone() is None:
        raise InputError(
            f"{db} holds no thread {thread!r}: `cooper threads list --db {db}` names those it holds"
        )


def _give_back(connection: sqlite3.Connection) -> None:
    """Leaves no room in the file, and nothing of what was removed in its `-wal`."""
    try:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.OperationalError as error:
        raise StoreError(
            f"what was removed may still stand in the file ({error}): run the command again when "
            "no other program uses it"
        ) from None


def _size(db: Path) -> int:
    wal = db.with_name(db.name + "-wal")
    return db.stat().st_size + (wal.stat().st_size if wal.exists() else 0)
