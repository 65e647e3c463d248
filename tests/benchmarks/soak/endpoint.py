"""The faulty endpoint: a process of its own that spoils a share of its answers."""

from __future__ import annotations

import multiprocessing
import random
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.openai_server import OpenAIServer, Reply, Request, obey

FAULTS = ("429", "429 for 90 s", "500", "too slow", "cut", "HTML", "JSON", "prose", "withheld")


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
def endpoint(share: float, seed: int, slow: float, injected: Counter[str]) -> Iterator[str]:
    """Start the endpoint and yield its address; at the end add its faults to `injected`.

    Args:
        share: Share of the calls that are spoilt.
        seed: Draws them.
        slow: Seconds of an answer that is too slow.
        injected: Number of answered calls by fault; "none" counts those without one.
    """
    ours, theirs = multiprocessing.Pipe()
    spawning = multiprocessing.get_context("spawn")
    process = spawning.Process(target=serve, args=(share, seed, slow, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours.recv()
        ours.send("done")
        injected.update(ours.recv())
    finally:
        ours.close()
        process.join(10)
