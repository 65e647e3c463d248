"""What the events of a turn cost: `python -m tests.benchmarks.events --pairs 60`.

The same offline turns run in pairs in one process, in alternating order: as events, and plainly as
`send` or as the words alone (`stream`). "silent" leaves out the nodes' events as well, which are
made for every run: it replaces `emit` by nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph import Turns, create_cooper, warm_up

SAID = ("I lost my job.", "It was last week.", "I don't know how to tell my wife.", "I can't sleep")
EMITTERS = ("graph.agent", "nodes.coordinator", "nodes.generator", "nodes.guard.node")
Way = Callable[[Turns, str, str], Any]


def told(turns: Turns, thread: str, said: str) -> None:
    for _ in turns.events(thread, HumanMessage(said)):
        pass


def sent(turns: Turns, thread: str, said: str) -> None:
    turns.send(thread, said)


def streamed(turns: Turns, thread: str, said: str) -> None:
    for _ in turns.stream(thread, said, stream_mode=["messages", "values"]):
        pass


@contextmanager
def no_events() -> Iterator[None]:
    patches = [
        patch(f"langgraph_cooper.{name}.emit", lambda *_: None)
        for name in (*EMITTERS, "nodes.reply_guard")
    ]
    for one in patches:
        one.start()
    yield
    for one in patches:
        one.stop()


def silent(turns: Turns, thread: str, said: str) -> None:
    with no_events():
        streamed(turns, thread, said)


def seconds(way: Way, turns: Turns, thread: str) -> tuple[float, float]:
    """Return the wall and processor seconds of a conversation."""
    wall, processor = time.perf_counter(), time.process_time()
    for said in SAID:
        way(turns, thread, said)
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=60)
    arguments = parser.parse_args()
    graph = create_cooper("esc").compile(checkpointer=InMemorySaver())
    warm_up(graph)
    turns = Turns(graph)
    for way in (told, sent, streamed, silent):
        seconds(way, turns, f"warm {way.__name__}")
    for plain in (sent, streamed, silent):
        ratios: list[tuple[float, float]] = []
        took: list[float] = []
        for pair in range(arguments.pairs):
            both = {}
            order = (told, plain) if pair % 2 else (plain, told)
            for way in order:
                both[way] = seconds(way, turns, f"{plain.__name__} {way.__name__} {pair}")
            (wall, processor), (plain_wall, plain_processor) = both[told], both[plain]
            ratios.append((wall / plain_wall, processor / plain_processor))
            took.append(wall / len(SAID))
        walls, processors = zip(*ratios, strict=True)
        result = {
            "against": plain.__name__,
            "pairs": arguments.pairs,
            "median ratio of seconds": round(statistics.median(walls), 3),
            "median ratio of processor seconds": round(statistics.median(processors), 3),
            "median ms per turn, with events": round(1000 * statistics.median(took), 1),
        }
        print(json.dumps(result))


if __name__ == "__main__":
    main()
