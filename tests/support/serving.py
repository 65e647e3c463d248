"""The server on a free port of the loopback, in an OS thread, with a ranker that needs no model."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import httpx
import uvicorn

from langgraph_cooper.graph.server.app import create_app
from langgraph_cooper.graph.server.owners import Authenticator, nobody_is_asked
from langgraph_cooper.graph.server.serve import Server, configured, offers_of
from langgraph_cooper.graph.server.service import Offer
from langgraph_cooper.graph.server.settings import Limits, Settings
from tests.support.rankers import FakeRanker

TASKS = ("esc", "persuasion")


def offers(*tasks: str, **choices: Any) -> dict[str, Offer]:
    """Return tasks whose ranker is cheap."""
    return offers_of(tasks or TASKS, **{"ranker": FakeRanker(), **choices})


@contextmanager
def serving(
    store: object,
    offered: Mapping[str, Offer] | None = None,
    *,
    authenticate: Authenticator | None = None,
    limits: Limits | None = None,
) -> Iterator[str]:
    """Serve, and yield the URL.

    Args:
        store: A file, or a connection string.
        offered: The tasks; by default both shipped ones.
        authenticate: Tells whose a request is; None: nobody is asked.
        limits: By default short.
    """
    server = _server(store, offered, authenticate, limits)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server did not start")
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def _server(
    store: object,
    offered: Mapping[str, Offer] | None,
    authenticate: Authenticator | None = None,
    limits: Limits | None = None,
) -> uvicorn.Server:
    settings = Settings(limits=limits or Limits(grace=2), local=authenticate is None)
    app = create_app(
        offered or offers(),
        store=str(store),
        authenticate=authenticate or nobody_is_asked,
        settings=settings,
    )
    config = configured(
        app,
        settings.limits,
        host="127.0.0.1",
        port=0,
        log_level="error",
        timeout_graceful_shutdown=3,
        lifespan="on",
    )
    return Server(config, app.state.service.runs)


class Replica:
    """The server in a forked process, which can be killed.

    Args:
        store: A file, or a connection string.
        offered: The tasks.
        limits: As for `serving`.
    """

    def __init__(
        self, store: object, offered: Mapping[str, Offer], limits: Limits | None = None
    ) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _server(store, offered, None, limits).run([listening])
            finally:
                os._exit(0)
        listening.close()
        self.client = Client(self.url)
        self.client.http.get("/health")  # waits in the socket's queue until it serves

    def kill(self) -> None:
        """Kill the process, as a power cut would."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.pid = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.http.close()
        if self.pid:
            self.kill()


class Client:
    """Calls the server as one owner."""

    def __init__(self, url: str, token: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.Client(base_url=url, headers=headers, timeout=30)

    def thread(self, task: str = "esc") -> str:
        """Begin a thread."""
        return str(self.http.post("/threads", json={"task": task}).json()["id"])

    def say(self, thread: str, message: str | None, id: str | None = None) -> dict[str, Any]:
        """Send a message and wait for the answer."""
        body = {"message": message, "message_id": id}
        headers = {"Accept": "application/json"}
        answer = self.http.post(f"/threads/{thread}/turns", json=body, headers=headers)
        return {"http": answer.status_code, **answer.json()}

    def stream(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> list[dict[str, Any]]:
        """Return the events of a stream, each with its number."""
        with self.http.stream(method, path, json=body, headers=headers) as answer:
            assert answer.status_code == 200, answer.read()
            return list(events(answer))


def events(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream as they come."""
    number = None
    for line in answer.iter_lines():
        if line.startswith("id: "):
            number = int(line[4:])
        if line.startswith("data: "):
            yield {"number": number, **json.loads(line[6:])}
