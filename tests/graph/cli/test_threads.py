"""`cooper threads`, and what `cooper chat` does about threads that it cannot take."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from langgraph.checkpoint.sqlite import SqliteSaver

from langgraph_cooper.graph import Turns, create_cooper
from langgraph_cooper.graph.threads.locks import lock_beside
from tests.support.commands import Cooper
from tests.support.rankers import FakeRanker


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A file with two conversations."""
    file = tmp_path / "talks.sqlite"
    connection = sqlite3.connect(file, check_same_thread=False)
    graph = create_cooper("esc", ranker=FakeRanker()).compile(checkpointer=SqliteSaver(connection))
    turns = Turns(graph)
    for number in range(3):
        turns.send("anna", f"I feel low, part {number}.")
    turns.send("berta", "I lost my job.")
    connection.close()
    return file


def fails(done: tuple[int, str, str], *words: str) -> None:
    code, _, error = done
    assert code == 1
    assert len(error.strip().splitlines()) == 1, error
    for word in words:
        assert word in error


def listed(cooper: Cooper, db: Path) -> dict[str, dict[str, int]]:
    _, out, _ = cooper("threads", "list", "--db", str(db), "--json")
    return {thread["thread"]: thread for thread in map(json.loads, out.splitlines())}


def test_threads_are_listed_pruned_and_forgotten(cooper: Cooper, db: Path) -> None:
    before, size = listed(cooper, db), db.stat().st_size
    assert list(before) == ["berta", "anna"]
    assert before["anna"]["task"] == "esc"
    assert before["anna"]["messages"] == 6
    table = cooper("threads", "list", "--db", str(db))[1]
    assert "anna" in table
    assert "checkpoints" in table

    code, told, _ = cooper("threads", "prune", "--db", str(db))
    assert code == 0
    assert "of 2 threads were removed" in told
    assert db.stat().st_size < size / 2
    after = listed(cooper, db)
    assert after["anna"]["messages"] == 6
    assert after["anna"]["checkpoints"] == after["berta"]["checkpoints"] == 1

    traces = stored(db, "anna")
    assert any(trace in db.read_bytes() for trace in traces)
    assert cooper("threads", "delete", "--db", str(db), "--thread", "anna")[0] == 0
    assert list(listed(cooper, db)) == ["berta"]
    for file in db.parent.iterdir():  # its bytes are gone, from the write-ahead log too
        assert file.is_dir() or not any(trace in file.read_bytes() for trace in traces)


def stored(db: Path, thread: str) -> list[bytes]:
    """Beginnings of what a thread's rows hold, long enough to be told from others."""
    with closing(sqlite3.connect(db)) as connection:
        query = "SELECT substr(checkpoint, 1, 64) FROM checkpoints WHERE thread_id = ?"
        return [row[0] for row in connection.execute(query, [thread])]


def test_what_is_not_there_is_named(cooper: Cooper, db: Path) -> None:
    missing = db.with_name("missing.sqlite")
    fails(cooper("threads", "list", "--db", str(missing)), str(missing), "is not there")
    assert not missing.exists()
    fails(cooper("threads", "delete", "--db", str(db), "--thread", "carla"), "'carla'", "list")
    fails(cooper("threads", "prune", "--db", str(db), "--thread", "carla"), "'carla'", "list")


def test_a_thread_in_use_is_left_alone(cooper: Cooper, db: Path) -> None:
    lock = lock_beside(db)
    assert lock.try_acquire("anna")
    for command in (("chat",), ("threads", "prune"), ("threads", "delete")):
        done = cooper(*command, "--db", str(db), "--thread", "anna")
        fails(done, "'anna'", "in use by another program")
    lock.release("anna")
    assert cooper("chat", "--db", str(db), "--thread", "anna")[0] == 0


@pytest.mark.parametrize("thread", ["", "../../etc/passwd", " anna", "a" * 300, "an\nna"])
def test_chat_takes_no_odd_thread(cooper: Cooper, tmp_path: Path, thread: str) -> None:
    db = tmp_path / "talks.sqlite"
    fails(cooper("chat", "--db", str(db), "--thread", thread), "the thread id", "use up to 255")
    assert not db.exists()
