"""Measures what reading replies together with the message adds to a warm offline turn.

python -m tests.benchmarks.reading --lines tests/trial/reading.txt --turns 60

The same messages, turn by turn, with the cross-encoder and without it, in one process.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph import create_cooper
from langgraph_cooper.nodes.offline.reading import ShippedReader
from tests.benchmarks.replies import conversations

Talk = Callable[[str, str], float]


def talk(task: str, *, reads: bool) -> Talk:
    """Return what answers a message of a thread and returns the seconds that it takes."""
    graph = create_cooper(task).compile(checkpointer=InMemorySaver())

    def turn(thread: str, text: str) -> float:
        blind = patch.object(ShippedReader, "reads", False)
        with nullcontext() if reads else blind:
            began = time.perf_counter()
            config = {"configurable": {"thread_id": thread}}
            graph.invoke({"messages": [HumanMessage(text)]}, config)  # type: ignore[arg-type]
            return time.perf_counter() - began

    return turn


def main() -> None:
    """Print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--lines", type=Path, required=True)
    parser.add_argument("--task", default="esc")
    parser.add_argument("--turns", type=int, default=60)
    given = parser.parse_args()
    talks = [said for task, said in conversations(given.lines) if task == given.task]
    messages = [(str(n), text) for n, said in enumerate(talks) for text in said]
    both = {name: talk(given.task, reads=name == "read") for name in ("read", "not read")}
    seconds: dict[str, list[float]] = {name: [] for name in both}
    for (thread, text), name in itertools.product(messages[: given.turns + 1], both):
        seconds[name].append(both[name](thread, text))
    medians = {name: statistics.median(found[1:]) for name, found in seconds.items()}
    for name, found in medians.items():
        print(f"{name}: {1000 * found:.0f} ms")
    print(f"ratio {medians['read'] / medians['not read']:.2f} over {given.turns} turns")


if __name__ == "__main__":
    main()
