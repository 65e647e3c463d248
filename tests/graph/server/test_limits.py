"""What clients may take, and what they are told when they take more."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from sse_starlette import ServerSentEvent

from langgraph_cooper.graph.server.limits import Rate, Streams
from langgraph_cooper.graph.server.metrics import Metrics
from langgraph_cooper.graph.server.settings import Limits
from langgraph_cooper.graph.server.sse import Stream
from langgraph_cooper.graph.server.store import ServerStoreError, open_store
from langgraph_cooper.graph.threads.locks import LockError
from tests.support.scripted import ScriptedModel
from tests.support.serving import Client, events, offers, serving

BODY = {"message": "I lost my job."}


@pytest.fixture(scope="module")
def model() -> ScriptedModel:
    return ScriptedModel(delays={"generator": 30.0})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("limits") / "s.sqlite"


@pytest.fixture(scope="module")
def url(store: Path, model: ScriptedModel) -> Iterator[str]:
    limits = Limits(body=2_000, owner_streams=3, turns=4, rate=10_000, grace=0.2, slow=0.5)
    with serving(store, offers(model=model), limits=limits) as served:
        yield served


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    client = Client(url)
    yield client
    client.http.close()


def fails(answer: httpx.Response, status: int, type: str) -> None:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["type"] == type
    assert "\n" not in error["message"]


def test_bodies(client: Client) -> None:
    fails(client.http.post("/threads", json={"task": "x" * 3_000}), 413, "too_large")

    def parts() -> Iterator[bytes]:  # without a length
        for _ in range(100):
            yield b" " * 100

    fails(client.http.post("/threads", content=parts()), 413, "too_large")
    malformed: Any = {"content": b'{"task": ', "headers": {"Content-Type": "application/json"}}
    fails(client.http.post("/threads", **malformed), 400, "invalid_json")
    for content in (b"\xff{}", b"[" * 1_900, b'{"task": ' + b"1" * 1_900 + b"}", b'{"task": 1e'):
        bad = client.http.post("/threads", content=content, headers=malformed["headers"])
        assert bad.status_code in (400, 422), content
        assert len(bad.json()["error"]["message"]) < 200
    fails(client.http.post("/threads", **{**malformed, "content": b"\xff{}"}), 400, "invalid_json")
    fails(client.http.post("/threads", json={"tusk": "esc"}), 422, "invalid_request_error")
    unknown = client.http.post("/threads", json={"x" * 1_500: "esc"})
    fails(unknown, 422, "invalid_request_error")
    assert len(unknown.text) < 400
    fails(client.http.post("/threads", json={"task": "unknown"}), 404, "not_found")
    fails(client.http.get("/threads/%00"), 404, "not_found")
    fails(client.http.get("/nowhere"), 404, "not_found")
    fails(client.http.put("/threads"), 405, "method_not_allowed")


def test_open_streams_and_turns_at_a_time(client: Client) -> None:
    with ExitStack() as opened:
        for _ in range(3):
            path = f"/threads/{client.thread()}/turns"
            answer = opened.enter_context(client.http.stream("POST", path, json=BODY))
            stream = opened.enter_context(closing(events(answer)))
            assert next(stream)["type"] == "turn_started"
        path = f"/threads/{client.thread()}/turns"
        fails(client.http.post(path, json=BODY), 429, "too_many_streams")  # its turn runs
        path = f"/threads/{client.thread()}/turns"
        fails(client.http.post(path, json=BODY), 503, "server_busy")
        assert client.http.get("/health").status_code == 200
        assert "cooper_streams_open 3.0" in client.http.get("/metrics").text
        for thread in client.http.get("/threads").json()["threads"]:
            client.http.delete(f"/threads/{thread['id']}")


def test_foreign_pages_cannot_reach_a_server_without_tokens(url: str) -> None:
    foreign = (
        ("Host", "rebound.example"),
        ("Host", "x@localhost"),
        ("Origin", "https://page.example"),
    )
    for headers in ({name: value} for name, value in foreign):
        fails(httpx.get(f"{url}/threads", headers=headers), 403, "foreign_page")
    assert httpx.get(f"{url}/threads", headers={"Origin": url}).status_code == 200


def test_a_rate_is_a_bucket_that_fills_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    rate = Rate(60)
    assert [rate.take("anna") for _ in range(60)] == [0.0] * 60
    assert rate.take("anna") == pytest.approx(1.0)
    assert rate.take("berta") == 0.0
    now += 2.0
    assert [rate.take("anna") > 0 for _ in range(3)] == [False, False, True]


async def test_a_client_that_does_not_read_loses_its_stream_and_frees_its_place() -> None:
    limits = Limits(slow=0.2, owner_streams=1)
    streams = Streams(limits, Metrics())
    parts = ServerSentEvent(data="x" * 1_000)
    sent = 0

    async def endless() -> AsyncIterator[ServerSentEvent]:
        while True:
            yield parts

    async def send(message: Any) -> None:
        nonlocal sent
        sent += 1
        if sent > 3:  # the connection's buffer is full
            await anyio.sleep_forever()

    async def receive() -> Any:
        await anyio.sleep_forever()

    stream = Stream(endless(), streams, "anna", limits)
    with anyio.fail_after(5):
        await stream({"type": "http", "method": "POST"}, receive, send)
    assert sent == 4
    with streams.one("anna"):
        pass


def test_a_database_that_fails_is_a_503_and_the_server_goes_on(client: Client, store: Path) -> None:
    writer = sqlite3.connect(store, isolation_level=None)
    writer.execute("ALTER TABLE cooper_threads RENAME TO gone")
    fails(client.http.get("/threads"), 503, "store_unavailable")
    fails(client.http.get("/ready"), 503, "store_unavailable")
    writer.execute("ALTER TABLE gone RENAME TO cooper_threads")
    writer.close()
    assert client.http.get("/threads").status_code == 200


def test_a_connection_that_says_too_little_is_closed(tmp_path: Path) -> None:
    line = b"POST /threads HTTP/1.1\r\nHost: localhost\r\n"
    body = b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    whole = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    limits = Limits(arrive=0.3, grace=0.2)
    with serving(tmp_path / "s.sqlite", offers("esc"), limits=limits) as url:
        for before, sent in ((b"", b""), (b"", line), (b"", line + body), (whole, line)):
            with socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0), 20) as client:
                if before:
                    client.sendall(before)
                    assert b" 200 " in client.recv(4_096)
                client.sendall(sent)
                answer = b""
                while piece := client.recv(4_096):  # until the server closes it
                    answer += piece
            assert (b" 408 " in answer) == (sent == line + body)


def test_a_turn_may_take_longer_than_its_request(tmp_path: Path) -> None:
    model = ScriptedModel(delays={"generator": 1.0})
    limits = Limits(arrive=0.2, grace=0.2)
    with serving(tmp_path / "s.sqlite", offers("esc", model=model), limits=limits) as url:
        client = Client(url)
        assert client.say(client.thread(), "I lost my job.")["status"] == "completed"
        client.http.close()


async def test_stores_that_cannot_be_used_are_named(
    tmp_path: Path,
    url: str,
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("langgraph_cooper.graph.server.store.SECONDS", 1.0)
    text = tmp_path / "text"
    text.write_text("no database " * 100, encoding="utf-8")
    wanted = {
        str(text): "cannot keep conversations",
        str(tmp_path / "no" / "folder.sqlite"): "locks|cannot",
        str(store): "another server uses",
        "postgresql://127.0.0.1:1/none": "PostgreSQL database of --store",
    }
    for where, fault in wanted.items():
        with pytest.raises((ServerStoreError, LockError), match=fault):
            async with open_store(where, lambda _: None):
                pass
        assert not [record for record in caplog.records if "pool" in record.name]
