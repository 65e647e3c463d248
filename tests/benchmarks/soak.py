"""Many conversations at once against a faulty endpoint: `python -m tests.benchmarks.soak`.

Each turn goes through `Turns` into an SQLite file, as an application's would. An
OpenAI-compatible server on the loopback, in a process of its own, spoils a share of its answers,
chosen by the seed. At the end the file is opened anew and read: every message must be there once,
in order, with an answer. If a turn was lost, the exit code is 1.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import multiprocessing
import os
import platform
import random
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.openai_server import OpenAIServer, Reply, Request, obey

if TYPE_CHECKING:  # the server's process starts from this module, and needs none of these
    from langchain_core.messages import BaseMessage, HumanMessage
    from rich.table import Table

    from langgraph_cooper.graph import Turns

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
FAULTS = ("429", "429 for 90 s", "500", "too slow", "cut", "HTML", "JSON", "prose", "withheld")
DEADLINE = 30.0  # seconds for the model calls of a turn
TIMES = 5  # attempts at a message whose turn fails
MARKS = (25, 50, 75, 100)  # percent of the conversations after which memory is read


@dataclass(frozen=True)
class Options:
    """The size of a run. `timeout` is the client's, in seconds; `faults` a share of the calls."""

    conversations: int = 200
    turns: int = 10
    at_once: int = 16
    faults: float = 0.1
    seed: int = 1
    ranker: str = "light"
    timeout: float = 3.0


@dataclass
class Result:
    """The outcome of a run.

    Attributes:
        lost: Errors in the threads as the file has them.
        injected: Number of answered calls by fault; "none" counts those without one.
        fallbacks: Number of fallbacks by (step, kind of fault).
        touched: Number of turns with a fallback.
        raised: Number of turns that failed and were sent again, by error.
        memory: (conversations done, resident bytes of this process) after each conversation.
        seconds: Duration of all conversations.
        processor: This process's CPU time in them, in seconds.
    """

    lost: list[str] = field(default_factory=list)
    injected: Counter[str] = field(default_factory=Counter)
    fallbacks: Counter[tuple[str, str]] = field(default_factory=Counter)
    touched: int = 0
    raised: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[int, int]] = field(default_factory=list)
    seconds: float = 0.0
    processor: float = 0.0


# ------------------------------------------------------------------- the endpoint


def _spoilt(fault: str, request: Request, slow: float) -> Reply:
    good = obey(request).text
    return {
        "429": Reply(status=429, headers={"retry-after-ms": "200"}),
        "429 for 90 s": Reply(status=429, headers={"Retry-After": "90"}),
        "500": Reply(status=500),
        "too slow": Reply(good, delay=slow),
        "cut": Reply(good, cut=True),
        "HTML": Reply(raw=b"<html><body>It works!</body></html>"),
        "JSON": Reply(raw=b'{"choices": null}', headers={"Content-Type": "application/json"}),
        "prose": Reply("" if request.asked.role == "tracker" else "Gladly, <think>"),
        "withheld": Reply("One two three.", finish="content_filter"),
    }[fault]


def serve(share: float, seed: int, slow: float, pipe: Any) -> None:
    """Run the endpoint: send its address through the pipe and, on request, what it injected."""
    injected: Counter[str] = Counter()
    asked: Counter[str] = Counter()

    def reply(request: Request) -> Reply:
        server.requests.clear()  # else it keeps every one
        talk = (re.findall(r"\(Talk (\d+)\.\)", request.given) or ["?"])[-1]
        who = f"{talk} {request.asked.key}"
        asked[who] += 1
        # Drawn by the caller and the number of its calls: independent of the order of the talks.
        drawn = random.Random(f"{seed} {who} {asked[who]}")
        fault = drawn.choice(FAULTS) if drawn.random() < share else "none"
        injected[fault] += 1
        return obey(request) if fault == "none" else _spoilt(fault, request, slow)

    with OpenAIServer(reply) as server:
        pipe.send(server.url)
        pipe.recv()
        pipe.send(injected)


@contextmanager
def _endpoint(options: Options, injected: Counter[str]) -> Iterator[str]:
    """Start the endpoint and yield its address; at the end add its faults to `injected`."""
    ours, theirs = multiprocessing.Pipe()
    spawning = multiprocessing.get_context("spawn")
    process = spawning.Process(
        target=serve,
        args=(options.faults, options.seed, 1.5 * options.timeout, theirs),
        daemon=True,
    )
    process.start()
    theirs.close()
    try:
        yield ours.recv()
        ours.send("done")
        injected.update(ours.recv())
    finally:
        ours.close()
        process.join(10)


# ------------------------------------------------------------------- the conversations


def said_in(talk: int, turns: int) -> list[HumanMessage]:
    """Return the messages of a talk's user, each with an id of its own."""
    from langchain_core.messages import HumanMessage

    return [
        HumanMessage(f"{SAYINGS[n % len(SAYINGS)]} (Talk {talk}.)", id=f"{talk}-{n}")
        for n in range(turns)
    ]


def lost_turns(talk: int, said: Sequence[HumanMessage], kept: Sequence[BaseMessage]) -> list[str]:
    """Return the errors of a thread: each message must be there once, in order, answered."""
    wrong = [
        f"talk {talk}: {message.id} stands there {found} times"
        for message in said
        if (found := sum(other.id == message.id for other in kept)) != 1
    ]
    users = [message for message in kept if message.type == "human"]
    if not wrong and [(m.id, m.text) for m in users] != [(m.id, m.text) for m in said]:
        wrong.append(f"talk {talk}: its messages are out of order, or not what was said")
    for message, following in zip_longest(kept, kept[1:]):
        answered = following is not None and following.type == "ai" and following.text.strip()
        if message.type == "human" and not answered:
            wrong.append(f"talk {talk}: {message.id} has no answer")
    if not wrong and len(kept) != 2 * len(said):
        wrong.append(f"talk {talk}: {len(kept)} messages for {len(said)} turns")
    return wrong


def _faults(state: Any) -> list[tuple[str, str]]:
    reports = [value for value in state.values() if isinstance(value, dict)]
    return [(f["step"], f["kind"]) for report in reports for f in report.get("faults") or ()]


async def _say(turns: Turns, talk: int, message: HumanMessage, result: Result) -> None:
    """Run a turn, streamed in every second talk. A failed message is sent again with its id."""
    from langgraph_cooper.graph import CooperContext

    thread, context = f"talk-{talk}", CooperContext(deadline=DEADLINE)
    for _ in range(TIMES):
        try:
            if talk % 2:
                state: Any = {}
                modes = ["messages", "values"]
                async for part in turns.astream(
                    thread, message, context=context, stream_mode=modes
                ):
                    state = part["data"] if part["type"] == "values" else state
            else:
                state = (await turns.asend(thread, message, context=context)).state
        except Exception as error:  # an application's client would try again after any error
            result.raised[f"{type(error).__name__} {getattr(error, 'kind', '')}".strip()] += 1
            continue
        faults = _faults(state)
        result.fallbacks.update(faults)
        result.touched += bool(faults)
        return


async def _converse(options: Options, url: str, file: Path, result: Result) -> None:
    import aiosqlite
    from langchain_openai import ChatOpenAI
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
    from pydantic import SecretStr

    from langgraph_cooper.graph import Turns, cooper_serde, create_cooper

    model = ChatOpenAI(
        model="soak", base_url=url, api_key=SecretStr("sk-soak"), timeout=options.timeout
    )
    ranker = None
    if options.ranker == "light":
        from tests.support.rankers import FakeRanker

        ranker = FakeRanker()
    cooper = create_cooper("esc", model=model, ranker=ranker)
    waiting = iter(range(options.conversations))
    turns_of_all, said, done = options.conversations * options.turns, 0, 0

    async with aiosqlite.connect(file) as connection:
        saver = AsyncSqliteSaver(connection, serde=cooper_serde())
        turns = Turns(cooper.compile(checkpointer=saver))

        async def worker() -> None:
            nonlocal said, done
            for talk in waiting:
                for message in said_in(talk, options.turns):
                    await _say(turns, talk, message, result)
                    said += 1
                    if said % max(1, turns_of_all // 20) == 0:
                        print(f"{said} of {turns_of_all} turns", file=sys.stderr, flush=True)
                await turns.aprune(f"talk-{talk}")
                done += 1
                result.memory.append((done, _resident(collect=done in _marks(options))))

        result.memory.append((0, _resident(collect=True)))
        began, spent = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as group:
            for _ in range(options.at_once):
                group.create_task(worker())
        result.seconds = time.perf_counter() - began
        result.processor = time.process_time() - spent


def _read(options: Options, file: Path) -> list[str]:
    """Return what is lost, from the file alone: with a new connection and graph."""
    from langgraph.checkpoint.sqlite import SqliteSaver

    from langgraph_cooper.graph import create_cooper

    lost = []
    with SqliteSaver.from_conn_string(str(file)) as saver:
        graph = create_cooper("esc").compile(checkpointer=saver)
        for talk in range(options.conversations):
            snapshot = graph.get_state({"configurable": {"thread_id": f"talk-{talk}"}})
            kept = snapshot.values.get("messages", [])
            lost += lost_turns(talk, said_in(talk, options.turns), kept)
    return lost


def soak(options: Options) -> Result:
    """Run the conversations, then read the file."""
    result = Result()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "talks.sqlite")
        with _endpoint(options, result.injected) as url:
            asyncio.run(_converse(options, url, file, result))
        result.lost = _read(options, file)
    return result


# ------------------------------------------------------------------- memory


def _resident(*, collect: bool) -> int:
    """Return the resident bytes of this process (their peak, where there is no /proc)."""
    if collect:
        gc.collect()
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _marks(options: Options) -> dict[int, int]:
    """Return the percentages of `MARKS` by number of conversations."""
    return {max(1, options.conversations * percent // 100): percent for percent in MARKS}


def slope(memory: Sequence[tuple[int, int]]) -> float:
    """Return bytes per conversation: least squares without the first quarter, the warm-up."""
    kept = [(n, size) for n, size in memory if n >= memory[-1][0] / 4]
    mean_n = sum(n for n, _ in kept) / len(kept)
    mean_size = sum(size for _, size in kept) / len(kept)
    spread = sum((n - mean_n) ** 2 for n, _ in kept)
    return sum((n - mean_n) * (size - mean_size) for n, size in kept) / spread if spread else 0.0


# ------------------------------------------------------------------- the command


def summary(options: Options, result: Result) -> dict[str, Any]:
    """Return the figures to print."""
    marks = {0: 0, **_marks(options)}
    calls = result.injected.total()
    spoilt = calls - result.injected["none"]
    return {
        "turns": options.conversations * options.turns,
        "lost": len(result.lost),
        "turns sent again": sum(result.raised.values()),
        **{f"  of these: {error}": n for error, n in sorted(result.raised.items())},
        "calls": calls,
        "calls spoilt": spoilt,
        **{f"  of these: {fault}": result.injected[fault] for fault in FAULTS},
        "turns in which something stood in": result.touched,
        **{f"  {step}: {kind}": n for (step, kind), n in sorted(result.fallbacks.items())},
        **{
            f"memory after {marks[n]}% of the conversations, MB": round(size / 1e6, 1)
            for n, size in result.memory
            if n in marks
        },
        "its slope after the first quarter, kB per conversation": round(
            slope(result.memory) / 1e3, 1
        ),
        "seconds": round(result.seconds, 1),
        "seconds of this process's CPU time": round(result.processor, 1),
    }


def _table(options: Options, result: Result) -> Table:
    from rich.table import Table

    title = f"{options}, {os.cpu_count()} cores, {platform.machine()}"
    table = Table("counted", "value", title=title)
    for name, value in summary(options, result).items():
        table.add_row(name, f"{value:,}")
    return table


def _options(arguments: Sequence[str] | None) -> tuple[Options, bool]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conversations", type=int, default=200)
    parser.add_argument("--turns", type=int, default=10, help="of each conversation")
    parser.add_argument("--at-once", type=int, default=16, help="conversations under way")
    parser.add_argument("--faults", type=float, default=0.1, help="share of calls, 0 to 1")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=3.0, help="the client's, in seconds")
    parser.add_argument(
        "--ranker", choices=("light", "shipped"), default="light",
        help="light: hashed words, next to no CPU time; shipped: the trained one",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = vars(parser.parse_args(arguments))
    as_json = given.pop("json")
    if min(given["conversations"], given["turns"], given["at_once"]) < 1:
        parser.error("--conversations, --turns and --at-once are 1 or more")
    return Options(**given), as_json


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and print a table or JSON; return 1 if a turn was lost."""
    from rich.console import Console

    options, as_json = _options(arguments)
    result = soak(options)
    if as_json:
        print(json.dumps(summary(options, result), indent=2))
    else:
        Console().print(_table(options, result))
    for line in result.lost:
        print(line, file=sys.stderr)
    return 1 if result.lost else 0


if __name__ == "__main__":
    sys.exit(main())
