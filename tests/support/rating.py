"""The page for raters on a free port of the loopback, and its files."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from langgraph_cooper.graph.evaluation.rating.ratings import Ratings, asked_of
from langgraph_cooper.graph.evaluation.rating.rows import Pairs, conversation_id, read_pairs
from langgraph_cooper.graph.evaluation.rating.serve import listen
from langgraph_cooper.prompts import load_task
from tests.support.conversations import conversation, write_conversations

SYSTEMS = ("walrus", "heron")
ESC = load_task("esc")
DIMENSIONS = [*asked_of(ESC)]


def pairs_in(folder: Path, number: int = 2) -> Pairs:
    """Write a file of pairs, and read it."""
    return read_pairs(write_conversations(folder / "talks.jsonl", *talks(number)))


def talks(number: int, words: str = "Tell me more.") -> list[dict[str, Any]]:
    """Return conversations of both systems about so many roles."""
    return [
        conversation(system, f"role-{role}", words, "I see.")
        for role in range(number)
        for system in SYSTEMS
    ]


def ratings_in(folder: Path, pairs: Pairs, **choices: Any) -> Ratings:
    """Open the file of the ratings."""
    return Ratings(pairs, asked_of(ESC), folder / "rated.jsonl", **{"seed": 1, **choices})


def answered(ratings: Ratings, rater: str, better: Mapping[str, str], limit: int = 99) -> None:
    """Let a rater prefer the same system everywhere; pair's role -> system, "tie" or a side."""
    for id in ratings.order(rater)[:limit]:
        pair = ratings.pairs[id]
        wanted = better.get(pair.unit, "tie")
        left = ratings.sides(rater, id)[0]
        if wanted in SYSTEMS:
            key = next(conversation_id(row) for row in pair[1:] if row.system == wanted)
            wanted = "left" if key == left else "right"
        ratings.answer(rater, id, left, dict.fromkeys(DIMENSIONS, wanted))  # type: ignore[arg-type]


def rows_of(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a file after its first line."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()[1:]]


@contextmanager
def serving_app(app: FastAPI) -> Iterator[str]:
    """Serve an application, and yield the URL."""
    listening = listen("127.0.0.1", 0)
    config = uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server did not start")
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
