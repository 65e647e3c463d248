"""Five turns in each task through a real model on a real server: `make test-llm`.

It is outside the suite: a turn takes half a minute of two cores. If no server answers at the port,
one is started, and stopped at the end. The exit code is 1 if a reply is not the model's, if a turn
has a fault other than topics or a summary that cannot be read, if fewer steps than half are in the
model's own words, if a turn ends after its deadline, or if something is stuck.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from rich.console import Console
from rich.table import Table

from langgraph_cooper.graph import CooperContext, Turns, create_cooper
from langgraph_cooper.graph.threads.spoken import faults_of
from langgraph_cooper.nodes.generator import STANDS_IN
from langgraph_cooper.prompts import CooperError, TaskSpec, load_task
from tests.real_model.server import PORT, answers, base_url, model_file, model_name, serving

SAID = {
    "esc": (
        "Hi, I could use somebody to talk to.",
        "I lost my job last week and I do not know how to tell my wife.",
        "I worked there for six years. I keep thinking that it was my fault.",
        "I applied for a few jobs, but nobody answers.",
        "Maybe I could talk to an old colleague of mine.",
    ),
    "persuasion": (
        "Hello, I'm fine, thanks. And you?",
        "I have heard of Save the Children. What do they do?",
        "How do I know that the money reaches the children?",
        "I do not have much money at the moment.",
        "How would I give something?",
    ),
}
DEADLINE = 180.0
# What must be the model's own: every reply, and this share of all steps. A list of topics is beyond
# a model of this size as often as not; the bank's topics then replace it, which is reported. The
# last summary replaces one that was cut off before its first sentence was over.
OWN = 0.5
UNREADABLE = ("promoter: nonsense", "promoter: cut", "tracker: cut")
FREE_SECONDS = 30.0  # until the server must answer a short question after the last turn


class Row(NamedTuple):
    """A turn as it went.

    Attributes:
        replied: Whether the reply is the model's.
        own: Steps in the model's own words: a tracker's summary, a promoter with a topic of the
            model's, the reply.
        steps: All of them.
        topics: Topics of the model's, and all.
    """

    task: str
    number: int
    seconds: float
    calls: int
    failed: int
    replied: bool
    own: int
    steps: int
    topics: tuple[int, int]
    faults: list[str]
    said: str
    reply: str


class Calls(BaseCallbackHandler):
    """Counts the requests to the model, and those that failed; keeps its answers."""

    def __init__(self) -> None:
        self.begun = self.failed = 0
        self.answers: list[str] = []
        self._lock = threading.Lock()

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        """Count a request."""
        with self._lock:
            self.begun += 1

    def on_llm_end(self, response: Any, **_: Any) -> None:
        """Keep an answer."""
        with self._lock:
            self.answers.append(response.generations[0][0].text)

    def on_llm_error(self, *_: Any, **__: Any) -> None:
        """Count a request that failed."""
        with self._lock:
            self.failed += 1


def converse(
    task: TaskSpec, model: str, deadline: float, *, verbose: bool = False
) -> Iterator[Row]:
    """Hold the task's five turns with a model and yield each as it went."""
    turns = Turns(create_cooper(task, model=model).compile(checkpointer=InMemorySaver()))
    context = CooperContext(deadline=deadline)
    if task.opens == "system":
        turns.send("one", None, context=context)
    for number, said in enumerate(SAID[task.name], start=1):
        calls, began = Calls(), time.monotonic()
        reply = turns.send(
            "one", HumanMessage(said), context=context, config={"callbacks": [calls]}
        )
        seconds = time.monotonic() - began
        if verbose:
            print(*map(repr, calls.answers), sep="\n", file=sys.stderr, flush=True)
        reports = [reply.state[name] for name in task.aspect_names]
        topics = [c["source"] == "model" for r in reports for c in r["candidates"]]
        faults = [f"{a or ''} {f['step']}: {f['kind']}" for a, f in faults_of(task, reply.state)]
        own = [not r.get("stale") and bool(r["state"]) for r in reports]
        own += [any(c["source"] == "model" for c in r["candidates"]) for r in reports]
        own += [bool(reply.message and STANDS_IN not in reply.message.response_metadata)]
        yield Row(
            task=task.name,
            number=number,
            seconds=seconds,
            calls=calls.begun,
            failed=calls.failed,
            replied=own[-1],
            own=sum(own),
            steps=len(own),
            topics=(sum(topics), len(topics)),
            faults=faults,
            said=said,
            reply=reply.text,
        )


def complaints(rows: list[Row], deadline: float) -> list[str]:
    """Return what went wrong, in sentences."""
    found = [
        f"{row.task} {row.number}: {what}"
        for row in rows
        for what in (
            *(fault for fault in row.faults if not fault.endswith(UNREADABLE)),
            *(["the reply is not the model's"] if not row.replied else []),
            *(["ended after its deadline"] if row.seconds > deadline else []),
        )
    ]
    own, steps = sum(row.own for row in rows), sum(row.steps for row in rows)
    if own < OWN * steps:
        found.append(f"only {own} of {steps} steps are in the model's own words")
    if alive := [thread.name for thread in threading.enumerate() if thread.name == "model-call"]:
        found.append(f"{len(alive)} calls are still under way")
    return found


def free_again(port: int, model: str) -> bool:
    """Return whether the server answers a short question at once: no call holds it."""
    body = {"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]}
    try:
        url = f"{base_url(port)}/chat/completions"
        answer = httpx.post(url, json=body, timeout=FREE_SECONDS, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.is_success


def show(rows: list[Row]) -> None:
    """Print the turns as a table."""
    table = Table("turn", "s", "calls", "failed", "own words", "own topics", "faults", "reply")
    for row in rows:
        table.add_row(
            f"{row.task} {row.number}",
            f"{row.seconds:.0f}",
            str(row.calls),
            str(row.failed),
            f"{row.own} of {row.steps}",
            f"{row.topics[0]} of {row.topics[1]}",
            "; ".join(row.faults) or "none",
            row.reply,
        )
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    seconds = [row.seconds for row in rows]
    own, steps = sum(row.own for row in rows), sum(row.steps for row in rows)
    print(
        f"{len(rows)} turns, median {statistics.median(seconds):.0f} s, longest "
        f"{max(seconds):.0f} s; own words in {own} of {steps} steps; "
        f"{sum(row.failed for row in rows)} of {sum(row.calls for row in rows)} requests failed, "
        "most of them answers that their cap cut off"
    )


@contextmanager
def a_server(port: int, file: Path) -> Iterator[None]:
    """Use the server that answers at the port, or run one meanwhile."""
    if answers(port, model_name(file)):
        yield
        return
    with serving(port, file):
        yield


def main() -> None:
    """Hold both conversations, print them, and exit with 1 if something went wrong."""
    parser = argparse.ArgumentParser(description="Five turns with a real model, in both tasks.")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--deadline", type=float, default=DEADLINE, help="seconds of a turn")
    parser.add_argument("--verbose", action="store_true", help="print each answer of the model's")
    parser.add_argument("--task", choices=SAID, action="append", help="one task; by default both")
    parser.add_argument("--gguf", help="the model's file; by default SmolLM2-135M-Instruct")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # ends the server as well
    os.environ["OPENAI_BASE_URL"] = base_url(given.port)
    rows: list[Row] = []
    try:
        file = model_file(given.gguf)
        model = model_name(file)
        with a_server(given.port, file):
            for name in given.task or SAID:
                task = load_task(name)
                for row in converse(task, model, given.deadline, verbose=given.verbose):
                    rows.append(row)
                    print(f"{row.task} {row.number}: {row.seconds:.0f} s", file=sys.stderr)
            wrong = complaints(rows, given.deadline)
            wrong += [] if free_again(given.port, model) else ["the server is still busy"]
    except CooperError as error:
        sys.exit(f"error: {error}")
    show(rows)
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
