"""What a process's memory does over many turns: `python -m tests.benchmarks.memory --turns 2000`.

One process holds conversations of 50 turns in an SQLite file, one after the other, each pruned as
in the soak. `--same` says the same ten sentences in all of them, so that no cache finds new texts;
`--model` asks a scripted chat model. A JSON line every 250 turns tells the resident bytes, and by
glibc's own count the bytes in use and those that it keeps for later.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import aiosqlite
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from langgraph_cooper.graph import Turns, cooper_serde, create_cooper
from tests.benchmarks.soak.worker import PRUNED, SAYINGS, size
from tests.benchmarks.turn import SlowModel
from tests.support.rankers import FakeRanker

TALK = 50  # turns of a conversation
TOLD = 250  # turns between two lines


class _Mallinfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
            "fordblks", "keepcost",
        )
    ]  # fmt: skip


def allocated() -> dict[str, int]:
    """Return glibc's bytes in use and kept for later; nothing with another C library."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return {}
    libc.mallinfo2.restype = _Mallinfo
    found = libc.mallinfo2()
    return {"in_use": found.uordblks + found.hblkhd, "kept": found.fordblks}


def said(turns: int, *, same: bool) -> Iterator[tuple[str, str, bool]]:
    """Yield for each turn its thread, its words, and whether the thread is pruned after it."""
    for number in range(turns):
        talk, place = divmod(number, TALK)
        text = SAYINGS[place % len(SAYINGS)] + ("" if same else f" (Talk {talk}.)")
        yield f"talk-{talk}", text, (place + 1) % PRUNED == 0 or place + 1 == TALK


async def hold(folder: Path, turns: int, *, same: bool, model: bool) -> None:
    """Hold the conversations, and print a line now and then."""
    answers = SlowModel(seconds=0) if model else None
    graph = create_cooper("esc", model=answers, ranker=FakeRanker())
    async with aiosqlite.connect(folder / "talks.sqlite") as connection:
        saver = AsyncSqliteSaver(connection, serde=cooper_serde())
        runs = Turns(graph.compile(checkpointer=saver))
        for number, (thread, text, prune) in enumerate(said(turns, same=same), start=1):
            await runs.asend(thread, HumanMessage(text))
            if prune:
                await runs.aprune(thread, keep=2)
            if number % TOLD == 0:
                gc.collect()
                print(json.dumps({"turns": number, **size(), **allocated()}), flush=True)


def main() -> None:
    """Read the options and hold the conversations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=2000)
    parser.add_argument("--same", action="store_true", help="the same words in every talk")
    parser.add_argument("--model", action="store_true", help="ask a scripted chat model")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(hold(Path(folder), options.turns, same=options.same, model=options.model))


if __name__ == "__main__":
    main()
