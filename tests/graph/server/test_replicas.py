"""A server that is killed in mid-turn, and several servers over one PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from langgraph_cooper.graph.server.settings import Limits
from tests.support.postgres import NoPostgresError, postgres, stopped
from tests.support.scripted import ScriptedModel
from tests.support.serving import Client, Replica, events, offers

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")

BODY = {"message": "I lost my job.", "message_id": "m-1"}
LIMITS = Limits(rate=10_000, grace=0.2, wait=0.5)


@pytest.fixture(autouse=True)
def _quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langgraph_cooper.graph.server.runs.POLL", 0.4)


def replica(store: object, seconds: float = 0.0) -> Replica:
    """Return a server whose generator takes so long."""
    model = ScriptedModel(delays={"generator": seconds})
    return Replica(store, offers(model=model), LIMITS)


def notify(database: str, news: str) -> None:
    """Send news as whoever may use the database can."""
    import psycopg

    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SELECT pg_notify('cooper_server', %s)", [news])


def until(client: Client, thread: str, kind: str, body: Any = BODY) -> tuple[str, list[Any]]:
    """Send a message and leave after the first event of a kind; return the turn and the events."""
    seen = []
    sending = client.http.stream("POST", f"/threads/{thread}/turns", json=body)
    with sending as answer, closing(events(answer)) as stream:
        for event in stream:
            seen.append(event)
            if event["type"] == kind:
                break
    return seen[0]["turn"], seen


def test_a_turn_survives_kill_9(tmp_path: Path) -> None:
    store = tmp_path / "s.sqlite"
    with replica(store, 30) as first:
        thread = first.client.thread()
        turn, seen = until(first.client, thread, "ranking")
        first.kill()
    with replica(store) as second:
        log = f"/threads/{thread}/turns/{turn}/events"
        assert second.client.http.get(f"/threads/{thread}").json()["turns"][0]["status"] == "failed"
        kept = second.client.stream("GET", log)
        assert kept[: len(seen)] == seen
        assert kept[-1]["status"] == "failed"
        assert "send the message again" in kept[-1]["error"]
        rest = second.client.stream("POST", f"/threads/{thread}/turns", BODY)
        assert rest[-1]["status"] == "completed"
        assert not [event for event in rest if event["type"] == "agent"]  # no step runs again
        assert second.client.stream("GET", log) == [*kept, *rest]
        roles = [m["role"] for m in second.client.http.get(f"/threads/{thread}").json()["messages"]]
        assert roles == ["user", "assistant"]


# ------------------------------------------------------------------------------- PostgreSQL


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    pytest.importorskip("psycopg", reason="the extra `postgres` is not installed")
    try:
        with postgres() as conninfo:
            yield conninfo
    except NoPostgresError as reason:
        pytest.skip(str(reason))


def test_replicas_read_and_stop_each_others_turns(database: str) -> None:
    with replica(database, 30) as a, replica(database) as b:
        for odd in ("hello", "stop a", "log a b c", ""):  # sent by another program
            notify(database, odd)
        thread = a.client.thread()
        turn, seen = until(a.client, thread, "ranking")
        path = f"/threads/{thread}/turns"
        found: list[list[Any]] = []
        again = threading.Thread(target=lambda: found.append(b.client.stream("POST", path, BODY)))
        again.start()  # the same message at the other replica: no second turn
        reader = Client(b.url)
        headers = {"Last-Event-ID": str(seen[-1]["number"])}
        with reader.http.stream("GET", f"{path}/{turn}/events", headers=headers) as answer:
            assert reader.http.get("/health").status_code == 200
            busy = reader.say(thread, "And my wife left.", "m-2")
            assert (busy["http"], busy["error"]["type"]) == (409, "thread_busy")
            assert reader.http.post(f"{path}/{turn}/stop").status_code == 202
            rest = list(events(answer))
        again.join()
        assert (rest[-1]["type"], rest[-1]["status"]) == ("done", "stopped")
        assert found[0] == [*seen, *rest]
        assert reader.say(thread, **{"message": BODY["message"], "id": "m-1"})["http"] == 200
        assert len(a.client.http.get(f"/threads/{thread}").json()["messages"]) == 2
        reader.http.close()


async def test_a_listener_that_ends_begins_again(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from langgraph_cooper.graph.server import postgres as store

    monkeypatch.setattr(store, "AGAIN", 0.0)
    heard: list[str] = []

    def hear(news: str) -> None:
        heard.append(news)
        if len(heard) == 1:
            raise KeyError(news)

    listening = asyncio.create_task(store.listen(database, hear))
    while len(heard) < 2:
        notify(database, "log a b")
        await asyncio.sleep(0.02)
    listening.cancel()
    await asyncio.wait([listening])


def test_a_thread_is_deleted_at_another_replica_in_mid_turn(database: str) -> None:
    import psycopg

    tables = ("checkpoints", "checkpoint_writes", "checkpoint_blobs", "cooper_turns")
    with replica(database, 30) as a, replica(database) as b:
        for kind in ("turn_started", "agent", "ranking"):
            thread = a.client.thread()
            turn, _ = until(a.client, thread, kind)
            assert b.client.http.delete(f"/threads/{thread}").status_code == 204
            gone = a.client.http.get(f"/threads/{thread}/turns/{turn}/events")
            assert gone.status_code == 404
            with psycopg.connect(database) as connection:
                for table in (*tables, "cooper_events"):
                    query = f"SELECT count(*) FROM {table} WHERE thread_id = %s"
                    found = connection.execute(query.encode(), [thread]).fetchone()
                    assert found == (0,), (kind, table)


def test_a_message_whose_replica_was_killed_is_answered_by_another(database: str) -> None:
    with replica(database, 30) as a, replica(database) as b:
        thread = a.client.thread()
        turn, _ = until(a.client, thread, "ranking")
        a.kill()
        assert b.client.stream("GET", f"/threads/{thread}/turns/{turn}/events")[-1]["error"]
        rest = b.client.stream("POST", f"/threads/{thread}/turns", BODY)
        assert rest[-1]["status"] == "completed"
        assert not [event for event in rest if event["type"] == "agent"]


def test_lost_connections_are_made_again(database: str) -> None:
    import psycopg

    with replica(database) as a:
        thread = a.client.thread()
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        assert a.client.say(thread, "I feel \0 low.", "m-1")["http"] == 200
        with suppress(httpx.HTTPError):
            assert a.client.http.get("/ready").status_code in (200, 503)


def test_a_stopped_database_is_a_503_and_the_server_goes_on(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("langgraph_cooper.graph.server.store.SECONDS", 1.0)
    with replica(database) as a:
        thread = a.client.thread()
        assert a.client.say(thread, "I lost my job.", "m-1")["http"] == 200
        with stopped(database):
            refused = a.client.say(thread, "And my wife left.", "m-2")
            assert (refused["http"], refused["error"]["type"]) == (503, "store_unavailable")
            assert a.client.http.get("/ready").status_code == 503
            assert a.client.http.get("/health").status_code == 200
        # The pool takes a moment to connect again, longer on a busy machine.
        until = time.monotonic() + 30
        while (again := a.client.say(thread, "And my wife left.", "m-2"))["http"] == 503:
            assert time.monotonic() < until
        assert again["http"] == 200
        assert a.client.http.get("/ready").status_code == 200
        messages = a.client.http.get(f"/threads/{thread}").json()["messages"]
        assert [message["role"] for message in messages] == ["user", "assistant"] * 2
