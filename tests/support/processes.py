"""Processes that converse, race and die, for the tests of durability.

The module is also a program: a process with all imports done and the guard loaded forks as many
children as a test needs within milliseconds. It takes commands as JSON lines, and answers in them.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import aiosqlite
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from langgraph_cooper.graph import (
    CooperContext,
    PostgresLock,
    Turns,
    cooper_serde,
    create_cooper,
)
from langgraph_cooper.nodes.crisis.reading import read_meaning
from langgraph_cooper.nodes.llm import chat_model
from langgraph_cooper.prompts import PASSIVE, load_task
from tests.support.rankers import FakeRanker

ESC = load_task("esc")
THREAD = "anna"
FIRST, SECOND = "I lost my job last week.", "I can't tell my wife."


def run(*arguments: str, environment: dict[str, str] | None = None) -> Any:
    """Run "race" or "kill" in a child of the program and return its result."""
    program = _program()
    assert program.stdin
    assert program.stdout
    program.stdin.write(json.dumps([arguments, environment or {}]) + "\n")
    program.stdin.flush()
    status, told = json.loads(program.stdout.readline())
    assert status == 0, "see the traceback in standard error"
    return told


@cache
def _program() -> subprocess.Popen[str]:
    """Start this module as a program: once for all tests, since its imports take seconds."""
    here = Path(__file__).parents[2]
    paths = [str(here), *filter(None, [os.environ.get("PYTHONPATH")])]
    program = subprocess.Popen(
        [sys.executable, "-m", "tests.support.processes"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    atexit.register(program.communicate)
    return program


def serve() -> None:
    """Run the commands that come, each in a child of its own."""
    import langchain_openai  # noqa: F401  # takes a second: once, not in each child

    read_meaning("")
    for line in sys.stdin:
        (command, *arguments), environment = json.loads(line)

        def work(command: str = command, arguments: Any = arguments, own: Any = environment) -> Any:
            signal.alarm(500)
            os.environ.update(own)
            if command == "race":
                return race(arguments[0], arguments[1], int(arguments[2]), int(arguments[3]))
            return kill(arguments[0], arguments[1], arguments[2:])

        print(json.dumps(forked(work)), flush=True)  # noqa: T201


# ------------------------------------------------------------------- stores


COOPER = create_cooper("esc", ranker=FakeRanker())


@asynccontextmanager
async def async_turns(store: str, *, locked: bool = True) -> AsyncIterator[Turns]:
    """Open `Turns` on an SQLite file, or on PostgreSQL if `store` is a connection string."""
    none = None if locked else Unlocked()
    if "dbname=" not in store:
        async with aiosqlite.connect(store) as connection:
            saver = AsyncSqliteSaver(connection, serde=cooper_serde())
            yield Turns(COOPER.compile(checkpointer=saver), lock=none)
        return
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

    async with AsyncPostgresSaver.from_conn_string(store, serde=cooper_serde()) as postgres:
        yield Turns(COOPER.compile(checkpointer=postgres), lock=none or PostgresLock(store))


@contextmanager
def sync_graph(file: Path) -> Iterator[Any]:
    """Open the compiled graph on an SQLite file."""
    connection = sqlite3.connect(file, check_same_thread=False)
    try:
        saver: BaseCheckpointSaver[str] = SqliteSaver(connection, serde=cooper_serde())
        yield COOPER.compile(checkpointer=saver)
    finally:
        connection.close()


class Unlocked:
    """No lock at all, to show what happens without one."""

    def try_acquire(self, thread_id: str) -> bool:
        return True

    def release(self, thread_id: str) -> None:
        pass


# ------------------------------------------------------------------- forks


def forked(work: Callable[[], Any]) -> tuple[int, Any]:
    """Run something in a child; return its exit status (negative: a signal) and its result."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, json.dumps(work()).encode())
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    return os.waitstatus_to_exitcode(status), json.loads(told) if told else None


# -------------------------------------------------------------------- races


def race(store: str, locked: str, processes: int, count: int) -> dict[str, int]:
    """Let several processes send messages to one thread at once; return how many failed."""
    children = []
    for number in range(processes):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                asyncio.run(_converse(store, locked == "locked", number, count))
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    failed = [c for c in children if os.waitpid(c, 0)[1] != 0]
    return {"failed": len(failed)}


async def _converse(store: str, locked: bool, number: int, count: int) -> None:
    async with async_turns(store, locked=locked) as turns:
        said = [HumanMessage(f"I feel low, part {n}.", id=f"{number}-{n}") for n in range(count)]
        await asyncio.gather(*(turns.asend(THREAD, message) for message in said))


# -------------------------------------------------------------------- kills


def node_of(metadata: dict[str, Any]) -> str:
    """Return the node of a callback, as Studio names it: "exploration:tracker", "intake"."""
    parts = metadata.get("langgraph_checkpoint_ns", "").split("|")
    return ":".join(part.partition(":")[0] for part in parts if part)


class Killer(BaseCallbackHandler):
    """Kills its own process where a node begins (or ends), once the node's siblings finished."""

    run_inline = True
    raise_error = True

    def __init__(self, node: str, when: str, file: Path) -> None:
        branches = {*ESC.aspect_names, PASSIVE}
        agent = node.partition(":")[0]
        self._siblings = branches - {agent} if agent in branches else set()
        self._node, self._when, self._file = node, when, file
        self._runs: set[UUID] = set()
        self._once = threading.Lock()

    def on_chain_start(
        self,
        serialized: Any,
        inputs: Any,
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if node_of(metadata or {}) == self._node:
            if self._when == "start":
                self._kill()
            with self._once:
                if not self._runs:  # later runs of this name are inside the node
                    self._runs.add(run_id)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **_: Any) -> None:
        if run_id in self._runs:
            self._kill()

    def _kill(self) -> None:
        until = time.monotonic() + 240
        while not self._siblings <= self._saved():
            assert time.monotonic() < until, "the siblings do not finish"
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)

    def _saved(self) -> set[str]:
        """Return the branches whose reports of this turn are in the database."""
        if not self._siblings:
            return set()
        with sqlite3.connect(self._file) as reader:
            rows = reader.execute(
                "SELECT DISTINCT channel FROM writes WHERE checkpoint_ns = '' AND checkpoint_id ="
                " (SELECT max(checkpoint_id) FROM checkpoints WHERE checkpoint_ns = '')"
            ).fetchall()
        reader.close()
        return {channel for (channel,) in rows}


def texts(state: Any) -> list[str]:
    """Return the texts of a thread."""
    return [message.text for message in state["messages"]]


def kill(folder: str, when: str, nodes: Sequence[str]) -> dict[str, Any]:
    """Kill a second turn at each node, and resume it by sending its message again."""
    chat_model("warm")  # reads the certificates: once, not in each child
    template = Path(folder, "first.sqlite")
    forked(lambda: _first(template))
    found = {}
    for node in nodes:
        file = template.with_name(f"{when}-{node.replace(':', '-')}.sqlite")
        shutil.copy(template, file)
        status, _ = forked(lambda n=node, f=file: _second(f, n, _killer(n, when, f)))
        _, (kept, after, again) = forked(
            lambda n=node, f=file: (_kept(f), _second(f, n, []), _second(f, n, []))
        )
        found[node] = {"status": status, "kept": kept, "after": after, "again": again}
    return found


def _killer(node: str, when: str, file: Path) -> list[BaseCallbackHandler]:
    """Return the callback that kills; none if the test's server kills, during a request."""
    return [] if when == "request" else [Killer(node, when, file)]


def _first(file: Path) -> list[str]:
    with sync_graph(file) as graph:
        said, model = HumanMessage(FIRST, id="m-1"), CooperContext(model="first")
        return texts(Turns(graph).send(THREAD, said, context=model).state)


def _second(file: Path, model: str, callbacks: Sequence[BaseCallbackHandler]) -> dict[str, Any]:
    Path(f"{file}.pid").write_text(str(os.getpid()), encoding="utf-8")
    with sync_graph(file) as graph:
        config: RunnableConfig = {"callbacks": list(callbacks)}
        said, context = HumanMessage(SECOND, id="m-2"), CooperContext(model=model)
        reply = Turns(graph).send(THREAD, said, context=context, config=config)
        return {"texts": texts(reply.state), "reply": reply.text, "repeated": reply.repeated}


def _kept(file: Path) -> dict[str, Any]:
    """Return what the dead process left: the texts, and the nodes to run next."""
    with sync_graph(file) as graph:
        snapshot = graph.get_state({"configurable": {"thread_id": THREAD}})
        return {"texts": texts(snapshot.values), "next": list(snapshot.next)}


if __name__ == "__main__":
    serve()
