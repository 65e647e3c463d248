"""Load on `cooper serve`: 1, 2 and 4 replicas over one PostgreSQL, a model of fixed latency.

python -m tests.benchmarks.load --clients 8 --turns 3 --latency 0.2

Each client holds a conversation of its own and sends its turns to the replicas in rotation. In the
last run one replica is killed in mid-turn, and clients send what was not answered to another one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from langgraph_cooper.graph.server import store
from langgraph_cooper.graph.server.settings import Limits
from tests.support.postgres import postgres
from tests.support.scripted import ScriptedModel
from tests.support.serving import Client, Replica, events, offers

LIMITS = Limits(rate=1_000_000, owner_streams=1_000, turns=1_000, wait=30, grace=1)
ATTEMPTS = 30


@dataclass
class Measured:
    """What the clients of a run saw."""

    first_words: list[float] = field(default_factory=list)
    answered: int = 0
    retried: int = 0


def converse(urls: list[str], number: int, turns: int, measured: Measured) -> None:
    """Hold a conversation; send a message again, elsewhere, until it is answered."""
    clients = [Client(url) for url in urls]
    thread = begun(clients, number)
    for turn in range(turns):
        body = {"message": f"I feel low, part {turn}.", "message_id": f"m-{turn}"}
        began = time.perf_counter()
        for attempt in range(ATTEMPTS):
            client = clients[(number + turn + attempt) % len(urls)]
            try:
                if one(client, thread, body, began, measured):
                    break
            except httpx.HTTPError:
                pass
            measured.retried += 1
            time.sleep(0.2)
    state = next(c for c in clients if is_up(c)).http.get(f"/threads/{thread}").json()
    roles = [message["role"] for message in state["messages"]]
    measured.answered += sum(role == "assistant" for role in roles)
    assert roles == ["user", "assistant"] * turns, roles
    for client in clients:
        client.http.close()


def begun(clients: list[Client], number: int) -> str:
    """Return a new thread, of the first replica that makes one."""
    for attempt in range(ATTEMPTS):
        try:
            return clients[(number + attempt) % len(clients)].thread()
        except httpx.HTTPError:
            time.sleep(0.2)
    raise SystemExit("no replica begins a thread")


def one(client: Client, thread: str, body: dict[str, str], began: float, seen: Measured) -> bool:
    """Send a message; return whether it was answered."""
    with client.http.stream("POST", f"/threads/{thread}/turns", json=body) as answer:
        if answer.status_code != 200:
            return False
        spoke = False
        for event in events(answer):
            if event["type"] == "token" and not spoke:
                spoke = True
                seen.first_words.append(time.perf_counter() - began)
            if event["type"] == "done":
                return bool(event["status"] == "completed")
    return False


def is_up(client: Client) -> bool:
    """Return whether a replica answers."""
    try:
        return client.http.get("/health").status_code == 200
    except httpx.HTTPError:
        return False


def measure(database: str, replicas: int, given: argparse.Namespace, kill: bool) -> str:
    """Run the clients, and return a row of the table."""
    with ExitStack() as opened:
        served = []
        for _ in range(replicas):
            model = ScriptedModel(delay=given.latency)
            served.append(opened.enter_context(Replica(database, offers(model=model), LIMITS)))
        for replica in served:
            replica.client.http.timeout = httpx.Timeout(120)  # it loads the guard's model
            replica.client.say(replica.client.thread(), "Warm up.")
        urls, measured = [replica.url for replica in served], Measured()
        threads = [
            threading.Thread(target=converse, args=(urls, number, given.turns, measured))
            for number in range(given.clients)
        ]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        if kill:
            time.sleep(given.latency * 4)
            served[0].kill()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - began
    wanted = given.clients * given.turns
    first = statistics.quantiles(measured.first_words, n=20)
    name = f"{replicas}, one killed" if kill else str(replicas)
    return (
        f"| {name} | {measured.answered / seconds:.1f} | {first[9]:.2f} | {first[18]:.2f} | "
        f"{wanted - measured.answered} of {wanted} | {measured.retried} |"
    )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds of a model's call")
    parser.add_argument("--replicas", type=int, nargs="*", default=[1, 2, 4])
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    store.CONNECTIONS = 4  # the test's PostgreSQL allows 30
    print("| replicas | turns/s | first words p50 (s) | p95 (s) | lost | sent again |")
    print("| --- | --- | --- | --- | --- | --- |")
    for replicas, kill in [*((n, False) for n in given.replicas), (2, True)]:
        with postgres() as database:
            print(measure(database, replicas, given, kill), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main()
