"""Children of a process that has loaded its models: `python -m tests.benchmarks.forks`.

Each is forked just after a turn, or while another thread of the parent is in the middle of one, by
`os.fork` and by multiprocessing in turn. It answers a message, or is killed after a time limit. If
one did not answer, the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph import Turns, create_cooper

MOMENTS = ("after a turn", "during a turn")
THREAD = "anna"


def answers(turns: Turns, number: int) -> None:
    """Exit with 0 if a message of a child is answered."""
    reply = turns.send(THREAD, HumanMessage(f"I feel awful, {number}.", id=f"child-{number}"))
    os._exit(0 if reply.text else 1)


def forked(work: Callable[[], None], limit: float) -> str:
    """Run something in a child of `os.fork`."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    ends = time.monotonic() + limit
    while time.monotonic() < ends:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return _outcome(os.waitstatus_to_exitcode(status))
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return "hung"


def spawned(work: Callable[[], None], limit: float) -> str:
    """Run something in a child of multiprocessing."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(limit)
    if process.exitcode is None:
        process.kill()
        process.join()
        return "hung"
    return _outcome(process.exitcode)


def _outcome(status: int) -> str:
    return "answered" if status == 0 else "failed"


@contextmanager
def talking(turns: Turns) -> Iterator[None]:
    """Keep a thread of this process in the middle of turns."""
    over = threading.Event()

    def talk() -> None:
        for number in range(10**6):
            if over.is_set():
                return
            turns.send(THREAD, f"And then I thought about it again, {number}.")
            if number % 8 == 7:
                turns.delete(THREAD)

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def measure(children: int, limit: float) -> dict[str, Counter[str]]:
    """Return the outcomes of so many children for each moment."""
    turns = Turns(create_cooper("esc").compile(checkpointer=InMemorySaver()))
    turns.send("warm", "I lost my job.")
    counts: dict[str, Counter[str]] = {moment: Counter() for moment in MOMENTS}
    for number in range(children):
        how = forked if number % 2 else spawned
        turns.send(f"parent-{number}", f"I lost my job, {number}.")
        outcome = how(lambda n=number: answers(turns, n), limit)  # type: ignore[misc]
        counts[MOMENTS[0]][outcome] += 1
    with talking(turns):
        for number in range(children):
            how = forked if number % 2 else spawned
            time.sleep(0.037 * (number % 7))
            outcome = how(lambda n=number: answers(turns, n), limit)  # type: ignore[misc]
            counts[MOMENTS[1]][outcome] += 1
    return counts


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--children", type=int, default=100, help="of each kind")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for one child")
    given = parser.parse_args()
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    counts = measure(given.children, given.limit)
    print(json.dumps(counts))
    sys.exit(any(set(found) != {"answered"} for found in counts.values()))


if __name__ == "__main__":
    main()
