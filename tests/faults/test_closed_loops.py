"""Event loops that end in the middle of a turn: its thread does not stay locked."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import anyio
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph import ThreadBusyError, Turns, create_cooper
from langgraph_cooper.graph.threads.locks import FileLock
from langgraph_cooper.prompts import load_task
from tests.support.processes import texts
from tests.support.rankers import FakeRanker
from tests.support.scripted import ScriptedModel

ROOT = Path(__file__).parents[2]
FIRST, SECOND, ANSWER = "I lost my job.", "Hello?", "I hear you, and I am glad you told me."
WAYS = ("asyncio.run", "loop.close", "cancelled by anyio")


def end_in_mid_turn(turns: Turns, thread: str, model: ScriptedModel, way: str) -> None:
    """Begin a turn in a loop of its own, and end the loop while the generator is asked."""
    tasks = []

    async def begin() -> None:
        tasks.append(asyncio.create_task(turns.asend(thread, FIRST)))
        while len(model.calls) < 6:
            await asyncio.sleep(0.01)

    async def begin_and_cancel() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(turns.asend, thread, FIRST)
            while len(model.calls) < 6:
                await anyio.sleep(0.01)
            group.cancel_scope.cancel()

    model.calls.clear()
    model.delays = {"generator": 60}
    if way == "asyncio.run":
        asyncio.run(begin())
    else:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(begin() if way == "loop.close" else begin_and_cancel())
        loop.close()
    model.delays = {}


def outcomes(lock: Callable[[], FileLock | None]) -> dict[str, list[list[str] | str]]:
    """Return what the thread holds after the next message, sent from a loop and from sync code.

    Args:
        lock: Makes the lock for a `Turns`; each loop may have one of its own, on the same saver.
    """
    model, saver = ScriptedModel(), InMemorySaver()
    esc = load_task("esc").model_copy(update={"guard": None})  # no models to load
    graph = create_cooper(esc, model=model, ranker=FakeRanker()).compile(checkpointer=saver)

    def sent(way: str, how: str) -> list[str] | str:
        thread = f"{way} {how}"
        ended, turns = Turns(graph, lock=lock()), Turns(graph, lock=lock(), wait=2)
        end_in_mid_turn(ended, thread, model, way)
        ended.stop(thread)  # whether or not it has noticed
        try:
            if how == "send":
                return texts(turns.send(thread, SECOND).state)
            return texts(asyncio.run(turns.asend(thread, SECOND)).state)
        except ThreadBusyError:
            return "busy"

    return {way: [sent(way, "asend"), sent(way, "send")] for way in WAYS}


def test_the_next_message_is_answered() -> None:
    # In a process of its own: tasks of a closed loop complain whenever they are collected.
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.test_closed_loops"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    whole = [FIRST, ANSWER, SECOND, ANSWER]
    assert json.loads(done.stdout) == [{way: [whole, whole] for way in WAYS}] * 2


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = [outcomes(lambda: None), outcomes(lambda: FileLock(Path(folder) / "locks"))]
    sys.stdout.write(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)  # without the tasks of closed loops


if __name__ == "__main__":
    main()
