"""The process that converses. It reads its work as JSON and prints a JSON line per turn.

Whoever started it keeps the clients' side: which messages were answered. A worker that takes over
from one that was killed is told where each conversation stands.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import aiosqlite
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from pydantic import SecretStr

from langgraph_cooper.graph import (
    CooperContext,
    PostgresLock,
    ThreadBusyError,
    Turns,
    cooper_serde,
    create_cooper,
)
from langgraph_cooper.nodes.crisis import reading
from tests.support.rankers import FakeRanker

SAYINGS = (
    "Hi, I could use somebody to talk to.",
    "I got laid off last week and I feel really anxious about it.",
    "I worked there for six years and I don't know what to tell my wife.",
    "I tried to apply for a few jobs but nobody answers.",
    "I don't sleep well at the moment.",
    "Maybe I could talk to an old colleague of mine.",
    "My brother thinks I should take a break first.",
    "I am afraid that we can't pay the rent.",
    "I wrote two letters yesterday.",
    "Thank you, it helps to say it out loud.",
)
DEADLINE = 30.0  # seconds for the model calls of a turn
TIMES = 10  # attempts at a message whose turn fails
PRUNED = 20  # turns after which a conversation is pruned


@dataclass(frozen=True)
class Work:
    """What a worker has to do.

    Attributes:
        url: The endpoint.
        stores: An SQLite file and, if there is one, a PostgreSQL connection string; conversations
            alternate between them.
        talks: Per conversation the number of its turns that were answered.
        turns: Turns of a conversation.
        at_once: Conversations under way.
        drops: Share of the turns whose client leaves in the middle.
        seed: Draws them.
        timeout: The model client's, in seconds.
        ranker: "light" or "shipped".
        guard: "shipped", or "phrases": without the models that read meaning.
    """

    url: str
    stores: list[str]
    talks: dict[int, int]
    turns: int
    at_once: int
    drops: float
    seed: int
    timeout: float
    ranker: str
    guard: str


def said_in(talk: int, turns: int) -> list[HumanMessage]:
    """Return the messages of a talk's user, each with an id of its own."""
    return [
        HumanMessage(f"{SAYINGS[n % len(SAYINGS)]} (Talk {talk}.)", id=f"{talk}-{n}")
        for n in range(turns)
    ]


def cooper(work: Work) -> Any:
    """Return the graph that converses."""
    if work.guard == "phrases":
        reading.shipped_reader = lambda: reading.read_phrases
    key = SecretStr("sk-soak")
    model = ChatOpenAI(model="soak", base_url=work.url, api_key=key, timeout=work.timeout)
    return create_cooper(
        "esc", model=model, ranker=FakeRanker() if work.ranker == "light" else None
    )


class Store(NamedTuple):
    """A graph compiled with a store, and its `Turns`."""

    graph: Any
    turns: Turns


@asynccontextmanager
async def opened(stores: list[str], cooper: Any) -> AsyncIterator[list[Store]]:
    """Open the stores, each for the graph."""
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(aiosqlite.connect(stores[0], timeout=60))
        saver: Any = AsyncSqliteSaver(connection, serde=cooper_serde())
        graph = cooper.compile(checkpointer=saver)
        found = [Store(graph, Turns(graph))]
        for uri in stores[1:]:
            from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
            from psycopg.rows import dict_row
            from psycopg_pool import AsyncConnectionPool

            pool: Any = AsyncConnectionPool(
                uri, min_size=1, max_size=8, open=False,
                check=AsyncConnectionPool.check_connection,
                kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
            )  # fmt: skip
            saver = AsyncPostgresSaver(await stack.enter_async_context(pool), serde=cooper_serde())
            await saver.setup()
            graph = cooper.compile(checkpointer=saver)
            found.append(Store(graph, Turns(graph, lock=PostgresLock(uri))))
        yield found


async def converse(work: Work) -> None:
    """Run all conversations to their end."""
    waiting = iter(sorted(work.talks))
    async with opened(work.stores, cooper(work)) as stores:
        tell(ready=True, **size())

        async def client() -> None:
            for talk in waiting:
                turns = stores[talk % len(stores)].turns
                for number in range(work.talks[talk], work.turns):
                    tell(talk=talk, turn=number, **await _say(turns, work, talk, number))
                    if (number + 1) % PRUNED == 0 or number + 1 == work.turns:
                        await turns.aprune(f"talk-{talk}", keep=2)

        async with asyncio.TaskGroup() as group:
            for _ in range(work.at_once):
                group.create_task(client())


async def _say(turns: Turns, work: Work, talk: int, number: int) -> dict[str, Any]:
    """Run a turn. A message whose turn fails, or whose client left, is sent again with its id."""
    message = said_in(talk, number + 1)[-1]
    drawn = random.Random(f"{work.seed} client {talk} {number}")
    leaves = drawn.uniform(0, 1.5) if drawn.random() < work.drops else None
    again: list[str] = []
    for _ in range(TIMES):
        try:
            async with asyncio.timeout(leaves):
                state = await _heard(turns, talk, message)
        except TimeoutError:
            again.append("its client left")
        except Exception as error:  # an application's client would try again after any error
            again.append(f"{type(error).__name__} {getattr(error, 'kind', '')}".strip())
            if isinstance(error, ThreadBusyError):
                await asyncio.sleep(1)
        else:
            return {"again": again, "faults": _faults(state), **size()}
        leaves = None
    return {"again": again, "faults": [], "given_up": True, **size()}


async def _heard(turns: Turns, talk: int, message: HumanMessage) -> Any:
    """Run a turn, streamed in every second talk, and return its state."""
    thread, context = f"talk-{talk}", CooperContext(deadline=DEADLINE)
    if talk // 2 % 2:
        return (await turns.asend(thread, message, context=context)).state
    state: Any = {}
    modes = ["messages", "values"]
    parts = turns.astream(thread, message, context=context, stream_mode=modes)
    async with aclosing(parts):
        async for part in parts:
            state = part["data"] if part["type"] == "values" else state
    return state


def _faults(state: Any) -> list[tuple[str, str]]:
    reports = [value for value in state.values() if isinstance(value, dict)]
    return [(f["step"], f["kind"]) for report in reports for f in report.get("faults") or ()]


def tell(**line: Any) -> None:
    """Tell whoever started the worker."""
    print(json.dumps(line), flush=True)


def size() -> dict[str, int]:
    """Return the resident bytes of this process (their peak, without /proc) and its objects."""
    gc.collect()
    statm = Path("/proc/self/statm")
    if statm.exists():
        memory = int(statm.read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    else:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"memory": memory, "objects": len(gc.get_objects())}


def main() -> None:
    """Read the work from standard input, and do it."""
    given = json.loads(sys.stdin.readline())
    talks = {int(talk): done for talk, done in given.pop("talks").items()}
    asyncio.run(converse(Work(**given, talks=talks)))


if __name__ == "__main__":
    main()
