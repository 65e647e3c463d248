"""Long conversations under faults, kills and dropped clients: `python -m tests.benchmarks.soak`.

Two processes converse through `Turns`, as an application's would, with one SQLite file and, where
there is one, a PostgreSQL server. An OpenAI-compatible server on the loopback spoils a share of its
answers; clients leave in the middle of turns and send their message again; one of the two processes
is killed with SIGKILL again and again. The other lives from beginning to end: its memory is
measured. At the end the stores are opened anew and read: every message must be there once, in
order, with an answer. If a turn was lost, the exit code is 1.

With `--folder` the file and a record of the answered messages stay there, and the same command
goes on where an earlier one was stopped.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.soak.endpoint import FAULTS, endpoint

if TYPE_CHECKING:  # the endpoint's process starts from this module, and needs none of these
    from langchain_core.messages import BaseMessage, HumanMessage
    from rich.table import Table

MARKS = (25, 50, 75, 100)  # percent of the steady process's turns after which memory is shown


@dataclass(frozen=True)
class Options:
    """The size of a run.

    `faults` is a share of the calls, `drops` of the turns; `timeout` is the model client's, in
    seconds. Of the conversations a quarter are those of the process that is killed.
    """

    conversations: int = 20
    turns: int = 50
    at_once: int = 8
    faults: float = 0.1
    drops: float = 0.05
    kills: int = 25
    seed: int = 1
    ranker: str = "light"
    guard: str = "shipped"
    timeout: float = 3.0
    postgres: str = "auto"


@dataclass
class Result:
    """The outcome of a run.

    Attributes:
        lost: Errors in the threads as the stores have them.
        stores: What was written to.
        injected: Number of answered calls by fault; "none" counts those without one.
        fallbacks: Number of fallbacks by (step, kind of fault).
        touched: Number of turns with a fallback.
        again: Number of times that a message was sent again, by reason.
        killed: Number of kills.
        memory: (turns done, resident bytes of the steady process) after each of its turns.
        objects: Likewise, the Python objects that the garbage collector tracks there.
        seconds: Duration of all conversations.
    """

    lost: list[str] = field(default_factory=list)
    stores: list[str] = field(default_factory=list)
    injected: Counter[str] = field(default_factory=Counter)
    fallbacks: Counter[tuple[str, str]] = field(default_factory=Counter)
    touched: int = 0
    again: Counter[str] = field(default_factory=Counter)
    killed: int = 0
    memory: list[tuple[int, int]] = field(default_factory=list)
    objects: list[tuple[int, int]] = field(default_factory=list)
    seconds: float = 0.0


# ------------------------------------------------------------------- the two processes


class Run:
    """The clients' side of a run: which messages were answered, and who is at work on the rest."""

    def __init__(self, options: Options, folder: Path, stores: list[str], url: str) -> None:
        self.options, self.result = options, Result(stores=[_kind(store) for store in stores])
        self.done = dict.fromkeys(range(options.conversations), 0)
        self._work = {"url": url, "stores": stores}
        self._record = folder / "answered.jsonl"
        if self._record.exists():
            for line in self._record.read_text(encoding="utf-8").splitlines():
                self._note(json.loads(line))
        victims = max(1, options.conversations // 4) if options.kills else 0
        self.victims = set(range(victims))

    async def __call__(self) -> None:
        """Hold all conversations."""
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._steady())
            group.create_task(self._victim())
        self.result.seconds = time.perf_counter() - began

    async def _steady(self) -> None:
        async for line in self._process(set(self.done) - self.victims):
            count = len(self.result.memory)
            self.result.memory.append((count, line["memory"]))
            self.result.objects.append((count, line["objects"]))

    async def _victim(self) -> None:
        drawn = random.Random(f"{self.options.seed} kills")
        while self._left(self.victims):
            worker: list[Any] = []
            kill: Any = None
            async for line in self._process(self.victims, worker):
                if kill is None and "talk" in line and self.result.killed < self.options.kills:
                    kill = asyncio.create_task(self._kill(worker[0], drawn.uniform(0, 4)))
            if kill:
                await kill

    async def _kill(self, worker: asyncio.subprocess.Process, after: float) -> None:
        await asyncio.sleep(after)
        if worker.returncode is None:
            worker.kill()
            self.result.killed += 1
            self.result.again["its process was killed"] += 1

    def _left(self, talks: set[int]) -> dict[int, int]:
        return {t: n for t, n in self.done.items() if t in talks and n < self.options.turns}

    async def _process(self, talks: set[int], started: list[Any] | None = None) -> Any:
        """Start a worker on the talks that are not at their end, and yield what it tells."""
        if not (left := self._left(talks)):
            return
        o, share = self.options, max(1, round(self.options.at_once * len(talks) / len(self.done)))
        work = {**self._work, "talks": left, "turns": o.turns, "at_once": share}
        work |= {k: getattr(o, k) for k in ("drops", "seed", "timeout", "ranker", "guard")}
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.benchmarks.soak.worker",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        if started is not None:
            started.append(worker)
        assert worker.stdin
        assert worker.stdout
        worker.stdin.write(json.dumps(work).encode() + b"\n")
        async for raw in worker.stdout:
            if not raw.endswith(b"\n"):  # killed in the middle of it
                continue
            line = json.loads(raw)
            if "talk" in line:
                with self._record.open("a", encoding="utf-8") as record:
                    record.write(raw.decode())
                self._note(line)
                self._show()
            yield line
        if await worker.wait() > 0:
            raise RuntimeError("a process that converses ended with an error, shown above")

    def _note(self, line: dict[str, Any]) -> None:
        self.done[line["talk"]] = line["turn"] + 1
        self.result.again.update(line["again"])
        self.result.fallbacks.update((step, kind) for step, kind in line["faults"])
        self.result.touched += bool(line["faults"])

    def _show(self) -> None:
        said, whole = sum(self.done.values()), self.options.conversations * self.options.turns
        if said % max(1, whole // 20) == 0:
            killed = self.result.killed
            print(f"{said} of {whole} turns, {killed} kills", file=sys.stderr, flush=True)


def _kind(store: str) -> str:
    return "PostgreSQL" if "dbname=" in store or "://" in store else "SQLite"


# ------------------------------------------------------------------- reading anew


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


async def _read(options: Options, stores: list[str]) -> list[str]:
    """Return what is lost, from the stores alone: with new connections and another graph."""
    from langgraph_cooper.graph import create_cooper
    from tests.benchmarks.soak.worker import opened, said_in

    lost = []
    async with opened(stores, create_cooper("esc")) as found:
        for talk in range(options.conversations):
            config: Any = {"configurable": {"thread_id": f"talk-{talk}"}}
            kept = (await found[talk % len(found)].graph.aget_state(config)).values["messages"]
            lost += lost_turns(talk, said_in(talk, options.turns), kept)
    return lost


def soak(options: Options, folder: Path | None = None) -> Result:
    """Run the conversations, then read the stores."""
    with ExitStack() as stack:
        place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        place.mkdir(parents=True, exist_ok=True)
        stores = [str(place / "talks.sqlite"), *stack.enter_context(_postgres(options, folder))]
        injected: Counter[str] = Counter()
        slow = 1.5 * options.timeout
        with endpoint(options.faults, options.seed, slow, injected) as url:
            run = Run(options, place, stores, url)
            asyncio.run(run())
        run.result.injected = injected
        run.result.lost = asyncio.run(_read(options, stores))
    return run.result


@contextmanager
def _postgres(options: Options, folder: Path | None) -> Iterator[list[str]]:
    """Yield the connection string of the given server, of one started for the run, or none.

    One that is started is gone after the run: with a folder to go on in, there is none.
    """
    from tests.support.postgres import NoPostgresError, postgres

    if options.postgres != "auto" or folder:
        yield [] if options.postgres in ("auto", "none") else [options.postgres]
        return
    try:
        with postgres() as uri:
            yield [uri]
    except NoPostgresError as reason:
        print(f"without PostgreSQL: {reason}", file=sys.stderr)
        yield []


# ------------------------------------------------------------------- memory


def _marks(turns: int) -> dict[int, int]:
    """Return the percentages of `MARKS` by number of turns."""
    return {max(1, turns * percent // 100): percent for percent in MARKS}


def slope(memory: Sequence[tuple[int, int]]) -> float:
    """Return bytes per turn: least squares without the first quarter, the warm-up."""
    kept = [(n, size) for n, size in memory if n >= memory[-1][0] / 4]
    if len(kept) < 2:
        return 0.0
    mean_n = sum(n for n, _ in kept) / len(kept)
    mean_size = sum(size for _, size in kept) / len(kept)
    spread = sum((n - mean_n) ** 2 for n, _ in kept)
    return sum((n - mean_n) * (size - mean_size) for n, size in kept) / spread if spread else 0.0


# ------------------------------------------------------------------- the command


def summary(options: Options, result: Result) -> dict[str, Any]:
    """Return the figures to print."""
    turns = max(len(result.memory) - 1, 0)
    marks = {0: 0, **_marks(turns)}
    calls = result.injected.total()
    return {
        "stores": " and ".join(result.stores),
        "turns": options.conversations * options.turns,
        "lost": len(result.lost),
        "calls": calls,
        "calls spoilt": calls - result.injected["none"],
        **{f"  of these: {fault}": result.injected[fault] for fault in FAULTS},
        "kills": result.killed,
        "messages sent again": sum(result.again.values()),
        **{f"  because {reason}": n for reason, n in sorted(result.again.items())},
        "turns in which something stood in": result.touched,
        **{f"  {step}: {kind}": n for (step, kind), n in sorted(result.fallbacks.items())},
        "turns of the process that was not killed": turns,
        **{
            f"its memory after {marks[n]}% of them, MB": round(size / 1e6, 1)
            for n, size in result.memory
            if n in marks
        },
        **{
            f"its Python objects after {marks[n]}% of them": count
            for n, count in result.objects
            if n in marks
        },
        "memory's slope after the first quarter, kB per turn": round(slope(result.memory) / 1e3, 2),
        "memory's slope in the last quarter, kB per turn": round(
            slope(result.memory[3 * turns // 4 :]) / 1e3, 2
        ),
        "seconds": round(result.seconds, 1),
    }


def _table(options: Options, result: Result) -> Table:
    from rich.table import Table

    title = f"{options}, {os.cpu_count()} cores, {platform.machine()}"
    table = Table("counted", "value", title=title)
    for name, value in summary(options, result).items():
        table.add_row(name, value if isinstance(value, str) else f"{value:,}")
    return table


def _options(arguments: Sequence[str] | None) -> tuple[Options, Path | None, bool]:
    known = asdict(Options())
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )

    def add(name: str, kind: Any = int, **more: Any) -> None:
        parser.add_argument(f"--{name}", type=kind, default=known[name.replace("-", "_")], **more)

    add("conversations")
    add("turns", help="of each conversation")
    add("at-once", help="conversations under way")
    add("faults", float, help="share of calls, 0 to 1")
    add("drops", float, help="share of turns whose client leaves, 0 to 1")
    add("kills", help="SIGKILLs of the second process")
    add("seed")
    add("timeout", float, help="the model client's, in seconds")
    add("ranker", str, choices=("light", "shipped"), help="light: hashed words, little CPU time")
    add("guard", str, choices=("shipped", "phrases"), help="phrases: without its two models")
    add("postgres", str, help='a connection string, "none", or "auto": one started for the run')
    parser.add_argument("--folder", type=Path, help="keep the run there, to go on in it")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = vars(parser.parse_args(arguments))
    as_json, folder = given.pop("json"), given.pop("folder")
    if min(given["conversations"], given["turns"], given["at_once"]) < 1:
        parser.error("--conversations, --turns and --at-once are 1 or more")
    return Options(**given), folder, as_json


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and print a table or JSON; return 1 if a turn was lost."""
    from rich.console import Console

    options, folder, as_json = _options(arguments)
    result = soak(options, folder)
    if as_json:
        print(json.dumps(summary(options, result), indent=2))
    else:
        Console().print(_table(options, result))
    for line in result.lost:
        print(line, file=sys.stderr)
    return 1 if result.lost else 0


if __name__ == "__main__":
    sys.exit(main())
