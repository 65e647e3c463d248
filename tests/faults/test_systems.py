"""Systems that lack what Linux has: no fcntl, no fork, no symbolic links, no UTF-8 locale."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from langgraph_cooper.graph import LockError, PostgresLock, create_cooper, load_task

ROOT = Path(__file__).parents[2]
ELSEWHERE = """
import os, sys
import platformdirs.unix, torch  # on Linux they ask for getuid and register_at_fork
for name in ("fcntl", "grp", "pwd", "readline", "resource", "termios", "tty", "psycopg"):
    sys.modules[name] = None
for name in ("fork", "register_at_fork", "getuid", "geteuid", "fchmod", "kill", "mkfifo"):
    if hasattr(os, name):
        delattr(os, name)
def symlink(*_, **__):
    raise OSError("A required privilege is not held by the client")  # as Windows says
os.symlink = symlink
"""
# The encoding of a C locale is ASCII: stricter than cp1252, and here on every machine.
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_a_system_with_little_talks_and_keeps_conversations(tmp_path: Path) -> None:
    program = (
        ELSEWHERE
        + """if True:
        import asyncio, json, sqlite3, sys
        from langgraph.checkpoint.sqlite import SqliteSaver
        from langgraph_cooper.graph import Turns, create_cooper
        from langgraph_cooper.graph.cli import main
        from langgraph_cooper.prompts import load_task
        from langgraph_cooper.ranker.model.computing import compute
        from tests.support.rankers import FakeRanker
        connection = sqlite3.connect(sys.argv[1], check_same_thread=False)
        esc = load_task("esc").model_copy(update={"guard": None})  # no models to load
        graph = create_cooper(esc, ranker=FakeRanker())
        turns = Turns(graph.compile(checkpointer=SqliteSaver(connection)), wait=20)
        assert open(os.devnull).encoding.upper() in ("ANSI_X3.4-1968", "US-ASCII", "ASCII")
        for text in ("I lost my job \\u2013 \\u2639.", "It was last week."):
            state = turns.send("anna", text).state
        connection.close()
        print(json.dumps([len(state["messages"]), compute(lambda: 1)]))
        sys.argv = ["cooper", "threads", "list", "--json", "--db", sys.argv[1]]
        main()
    """
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(tmp_path / "talks.sqlite")],
        cwd=ROOT, env={**os.environ, **ASCII}, capture_output=True, encoding="utf-8", check=False,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    talked, listed = map(json.loads, done.stdout.splitlines())
    assert talked == [4, 1]
    assert (listed["thread"], listed["messages"]) == ("anna", 4)


def test_the_lock_of_a_database_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(LockError, match=r"needs psycopg: .*\.\[postgres\]"):
        PostgresLock("host=nowhere").try_acquire("anna")


def test_a_task_file_with_a_byte_order_mark_and_carriage_returns(tmp_path: Path) -> None:
    """Editors on Windows write both."""
    file = tmp_path / "talk.toml"
    text = (ROOT / "examples" / "negotiation.toml").read_text(encoding="utf-8")
    file.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    expected = load_task(ROOT / "examples" / "negotiation.toml")
    assert load_task(file).aspect_names == expected.aspect_names
    create_cooper(file, model="some-model")
