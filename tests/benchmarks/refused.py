"""Counts how often the offline program argues or asks on after a real person's no.

python -m tests.benchmarks.refused --p4g full_dialog.csv --p4g 300_dialog.xlsx

The persuadees' messages of the conversations that `tests.benchmarks.decided` measures on, and in
which two readers find a no, are said to `persuasion`, in their order. From the first no to the next
yes, if one comes, the replies are counted whose first topic is the appeal's or the proposition's,
but for confirming the no. With `--words` the model that reads decisions is not there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph import create_cooper
from langgraph_cooper.nodes.subjects import in_play
from tests.benchmarks.decided import TASK, Labelled, conversations

CONFIRMED = "Confirm that there will be no donation."


def refusing(p4g: list[Path]) -> Iterator[tuple[list[str], int, list[str]]]:
    """Yield the messages of a conversation with a no, its place, and the first reader's labels."""
    for each in conversations(p4g):
        if len(each.readers) == 2 and (place := _first_no(each)) is not None:
            yield [pair.second for pair in each.pairs], place, each.readers[0]


def _first_no(each: Labelled) -> int | None:
    both = list(zip(*each.readers, strict=True))
    return both.index(("refuses", "refuses")) if ("refuses", "refuses") in both else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--p4g", type=Path, action="append", required=True)
    parser.add_argument("--words", action="store_true")
    given = parser.parse_args()
    if given.words:
        in_play.read_decision = lambda _: None
    graph = create_cooper(TASK.name).compile(checkpointer=InMemorySaver())
    replies = pressing = touched = number = 0
    for number, (messages, place, labels) in enumerate(refusing(given.p4g), start=1):
        config: Any = {"configurable": {"thread_id": str(number)}}
        graph.invoke({"messages": []}, config)
        pressed = 0
        for at, text in enumerate(messages):
            state = graph.invoke({"messages": [HumanMessage(text)]}, config)
            if at >= place and "agrees" in labels[place : at + 1]:
                break
            if at >= place:
                first = (state.get("ranking") or [{}])[0]
                asks = first.get("aspect") in ("appeal", "proposition")
                pressed += asks and first.get("topic") != CONFIRMED
                replies += 1
        pressing += pressed
        touched += pressed > 0
    print(f"{pressing} of {replies} replies after a no, in {touched} of {number} conversations")


if __name__ == "__main__":
    main()
