"""Clients that leave in mid-turn: `python -m tests.benchmarks.leaving --drops 1000 --seed 1`.

Turns are dropped at random moments, as anyio cancels them under FastAPI and Starlette, over memory,
SQLite and PostgreSQL (left out where it is not installed). Then another message is sent to each
thread. If one stays locked, or a message is lost, doubled or unanswered, the exit code is 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from langgraph_cooper.graph import (
    PostgresLock,
    ThreadBusyError,
    Turns,
    cooper_serde,
    create_cooper,
)
from langgraph_cooper.graph.threads.leaving import NOT_TAKEN
from tests.support.postgres import NoPostgresError, postgres
from tests.support.rankers import FakeRanker

WAYS = ("asend", "astream", "unclosed astream")
WAIT = 60.0  # seconds after which a thread counts as stuck


@asynccontextmanager
async def opened(store: str, place: str) -> AsyncIterator[Turns]:
    """Open `Turns` on a store: "memory", "sqlite" or "postgres".

    The place is a file or a connection string. PostgreSQL has a pool that replaces connections:
    psycopg closes one whose query is cancelled.
    """
    graph = create_cooper("esc", ranker=FakeRanker())
    async with AsyncExitStack() as stack:
        lock: PostgresLock | None = None
        saver: Any = InMemorySaver()
        if store == "sqlite":
            saver = await stack.enter_async_context(AsyncSqliteSaver.from_conn_string(place))
        elif store == "postgres":
            from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
            from psycopg.rows import dict_row
            from psycopg_pool import AsyncConnectionPool

            pool: Any = AsyncConnectionPool(
                place,
                kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
                check=AsyncConnectionPool.check_connection,
                open=False,
            )
            saver = AsyncPostgresSaver(await stack.enter_async_context(pool), serde=cooper_serde())
            await saver.setup()
            lock = PostgresLock(place)
        yield Turns(graph.compile(checkpointer=saver), lock=lock, wait=WAIT)


async def leave(turns: Turns, how: str, thread: str, message: HumanMessage, after: float) -> bool:
    """Begin a turn, and leave `after` so many seconds; return whether the message was taken."""
    taken = True
    with anyio.move_on_after(after):
        try:
            if how == "asend":
                await turns.asend(thread, message)
            elif how == "astream":
                async with aclosing(turns.astream(thread, message)) as parts:
                    async for _ in parts:
                        pass
            else:  # the generator is left to the garbage collector
                async for _ in turns.astream(thread, message):
                    pass
        except asyncio.CancelledError as left:
            taken = NOT_TAKEN not in getattr(left, "__notes__", [])
            raise
    return taken


async def drop(turns: Turns, number: int, moment: float, how: str) -> str:
    """Drop a turn, send another message, and return what became of the first."""
    thread = f"thread-{number}"
    taken = await leave(turns, how, thread, HumanMessage("It was last week.", id="left"), moment)
    try:
        reply = await turns.asend(thread, HumanMessage("Are you there?", id="next"))
    except ThreadBusyError:
        return "stuck"
    messages = reply.state["messages"]
    ids = [message.id for message in messages if message.type == "human"]
    if [message.type for message in messages] != ["human", "ai"] * len(ids):
        return "unanswered"
    if ids == ["left", "next"] and taken:
        return "kept and answered"
    return "not taken, and said so" if ids == ["next"] and not taken else "lost or doubled"


async def measure(store: str, place: str, drops: int, seed: int, at_once: int) -> Counter[str]:
    """Return how many drops had which outcome."""
    chance, outcomes = random.Random(seed), Counter[str]()
    async with opened(store, place) as turns:
        await turns.asend("warm", "Hello.")
        began = time.perf_counter()
        await asyncio.gather(*(turns.asend(f"whole-{n}", "Hello.") for n in range(at_once)))
        longest = time.perf_counter() - began
        # More of them early, where a message is stored.
        moments = (longest * chance.random() ** 3 for _ in range(drops))
        plan = [(n, moment, chance.choice(WAYS)) for n, moment in enumerate(moments)]
        plan.reverse()

        async def client() -> None:
            while plan:
                outcomes[await drop(turns, *plan.pop())] += 1

        await asyncio.gather(*(client() for _ in range(at_once)))
    return outcomes


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drops", type=int, default=1_000, help="for each store")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=8)
    given = parser.parse_args()
    right = {"kept and answered", "not taken, and said so"}
    wrong = False
    with tempfile.TemporaryDirectory() as folder, ExitStack() as server:
        for store in ("memory", "sqlite", "postgres"):
            place = str(Path(folder, "talks.sqlite"))
            if store == "postgres":
                try:
                    place = server.enter_context(postgres())
                except NoPostgresError as reason:
                    print(f"postgres: left out: {reason}", file=sys.stderr)
                    continue
            measuring = measure(store, place, given.drops, given.seed, given.at_once)
            counts = asyncio.run(measuring)
            print(json.dumps({"store": store, "cores": os.cpu_count(), **counts}), flush=True)
            wrong |= not set(counts) <= right
    sys.exit(wrong)


if __name__ == "__main__":
    main()
