"""`cooper threads`: which conversations a file keeps, and how to prune or delete them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.table import Table

from langgraph_cooper.graph.cli.options import AsJson
from langgraph_cooper.graph.cli.store import StoreError, conversation_store, own_thread
from langgraph_cooper.graph.cli.terminal import PlainConsole, json_line

if TYPE_CHECKING:
    from langgraph.checkpoint.sqlite import SqliteSaver

SIZES = """
SELECT c.thread_id, count(*), sum(length(c.checkpoint) + length(c.metadata)) + coalesce(
    (SELECT sum(length(w.value)) FROM writes w WHERE w.thread_id = c.thread_id), 0)
FROM checkpoints c GROUP BY c.thread_id ORDER BY max(c.checkpoint_id) DESC
"""

app = typer.Typer(help="Look after kept conversations.", no_args_is_help=True)
Db = Annotated[Path, typer.Option(help="The SQLite file that keeps the conversations.")]


@app.command("list")
def list_threads(db: Db, json: AsJson = False) -> None:
    """List the threads of a file, with what they take."""
    with _opened(db) as saver:
        found = [_described(saver, *row) for row in saver.conn.execute(SIZES).fetchall()]
    if json:
        for thread in found:
            typer.echo(json_line(thread))
        return
    table = Table("thread", "task", "messages", "last used", "checkpoints", "bytes", box=None)
    for thread in found:
        table.add_row(*(f"{v:,}" if isinstance(v, int) else str(v) for v in thread.values()))
    PlainConsole().print(table)


@app.command()
def prune(
    db: Db,
    thread: Annotated[str | None, typer.Option(help="Only this thread.")] = None,
    keep: Annotated[int, typer.Option(min=1, help="Turns whose ends stay, to go back to.")] = 1,
) -> None:
    """Remove old checkpoints; the conversations stay as they are."""
    from langgraph_cooper.graph.threads.pruning import prune_thread

    with _opened(db) as saver:
        threads = [thread] if thread else [row[0] for row in saver.conn.execute(SIZES)]
        before, removed = _size(db), 0
        for name in threads:
            _check_present(saver, db, name)
            with own_thread(db, name):
                removed += prune_thread(saver, name, keep=keep)
        _shrink(saver.conn)
    typer.echo(
        f"{removed:,} checkpoints of {len(threads):,} threads were removed; {db} has "
        f"{_size(db):,} bytes, before {before:,}"
    )


@app.command()
def delete(db: Db, thread: Annotated[str, typer.Option(help="The thread to forget.")]) -> None:
    """Forget a conversation, its bytes in the file too."""
    with _opened(db) as saver:
        _check_present(saver, db, thread)
        with own_thread(db, thread):
            saver.delete_thread(thread)
        _shrink(saver.conn)
    typer.echo(f"the thread {thread!r} was deleted from {db}")


@contextmanager
def _opened(db: Path) -> Iterator[SqliteSaver]:
    if not db.is_file():
        raise StoreError(f"{db} is not there: name the file that `cooper chat --db` made")
    with conversation_store(db) as opened:
        saver = cast("SqliteSaver", opened)
        saver.conn.execute("PRAGMA secure_delete = ON")
        yield saver


def _described(saver: SqliteSaver, thread: str, checkpoints: int, size: int) -> dict[str, Any]:
    from langgraph_cooper.graph.threads.completing import whole_values

    saved = saver.get_tuple({"configurable": {"thread_id": thread}})
    values = whole_values(saver, saved) if saved else {}
    return {
        "thread": thread,
        "task": (values.get("cooper") or {}).get("task"),
        "messages": len(values.get("messages", [])),
        "last_used": saved.checkpoint["ts"][:19] if saved else None,
        "checkpoints": checkpoints,
        "bytes": size,
    }


def _check_present(saver: SqliteSaver, db: Path, thread: str) -> None:
    query = "SELECT 1 FROM checkpoints WHERE thread_id = ? LIMIT 1"
    if saver.conn.execute(query, [thread]).fetchone() is None:
        raise StoreError(
            f"{db} holds no thread {thread!r}: `cooper threads list --db {db}` names those it holds"
        )


def _shrink(connection: sqlite3.Connection) -> None:
    """Give the room back, and leave nothing of the removed rows in the file or its `-wal`."""
    try:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.OperationalError as error:
        raise StoreError(
            f"what was removed may still be in the file ({error}): run the command again when no "
            "other program uses it"
        ) from None


def _size(db: Path) -> int:
    wal = db.with_name(db.name + "-wal")
    return db.stat().st_size + (wal.stat().st_size if wal.exists() else 0)
