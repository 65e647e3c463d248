"""Whose a thread is, and who may call at all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from langgraph_cooper.graph.server.owners import (
    AuthenticationError,
    Tokens,
    load_authenticator,
    owner_of,
    tokens_from_file,
)
from langgraph_cooper.graph.server.serve import ServeError, authenticator_of, serve
from langgraph_cooper.graph.server.settings import Limits, Settings
from tests.support.serving import Client, offers, serving

ANNA, BERTA = "token-of-anna-0123", "token-of-berta-456"
FILE = f"# the owners\nanna:{ANNA}\n\nberta:sha256:{hashlib.sha256(BERTA.encode()).hexdigest()}\n"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("owners")
    file = folder / "tokens"
    file.write_text(FILE, encoding="utf-8")
    limits = Limits(rate=300, refusals=5)
    with serving(
        folder / "s.sqlite", offers(), authenticate=tokens_from_file(file), limits=limits
    ) as served:
        yield served


def test_another_owners_thread_is_not_there_on_any_route(url: str) -> None:
    anna, berta = Client(url, ANNA), Client(url, BERTA)
    thread = anna.thread()
    answered = anna.say(thread, "I lost my job.", "m-1")
    turn = f"/threads/{thread}/turns/{answered['turn']}"
    routes: list[tuple[str, str, Any]] = [
        ("GET", f"/threads/{thread}", None),
        ("POST", f"/threads/{thread}/turns", {"message": "Hello."}),
        ("POST", f"/threads/{thread}/turns", {"message": "I lost my job.", "message_id": "m-1"}),
        ("GET", f"{turn}/events", None),
        ("POST", f"{turn}/stop", None),
        ("POST", f"{turn}/again", None),
        ("POST", f"/threads/{thread}/fork", {}),
        ("DELETE", f"/threads/{thread}", None),
    ]
    for method, path, body in routes:
        found = berta.http.request(method, path, json=body)
        assert found.status_code == 404, (method, path)
        missing = berta.http.request(method, path.replace(thread, "0" * 32), json=body)
        assert found.json() == missing.json(), (method, path)
    assert berta.http.get("/threads").json() == {"threads": []}
    assert [t["id"] for t in anna.http.get("/threads").json()["threads"]] == [thread]
    # A foreign page does not matter where tokens are asked for.
    assert anna.http.get("/threads", headers={"Origin": "https://x.example"}).status_code == 200
    anna.http.close()
    berta.http.close()


def test_without_a_token_there_is_nothing_and_guessing_is_slowed(url: str) -> None:
    first = httpx.get(f"{url}/threads")
    assert first.status_code == 401
    assert first.headers["www-authenticate"] == "Bearer"
    wrong = {"Authorization": f"Bearer {ANNA}x"}
    codes = [httpx.get(f"{url}/v1/models", headers=wrong).status_code for _ in range(6)]
    assert codes[0] == 401
    assert codes[-1] == 429
    good = {"Authorization": f"bearer {ANNA}"}
    assert httpx.get(f"{url}/v1/models", headers=good).status_code == 200


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "holds no token"),
        ("anna short", "owner:token"),
        ("anna:short", "shorter than 16 characters"),
        ("anna:sha256:12 34", "owner:token"),
        ("# ours\nanna:sha256:zz", "the file, line 2"),
        (f"anna:sha256:{'a' * 63}", "64 hexadecimal digits"),
        (f"anna:{ANNA}\nberta:{ANNA}", "'berta' .the file, line 2. is that of 'anna'"),
    ],
)
def test_tokens_that_cannot_be_used_are_named(text: str, fault: str) -> None:
    with pytest.raises(AuthenticationError, match=fault):
        Tokens(text.splitlines(), "the file")


def of_header(headers: Any) -> str | None:
    """An authenticator, as an operator could write one."""
    found: str | None = headers.get("x-user")
    return found


async def of_header_later(headers: Any) -> str | None:
    """The same, as one that asks a server would be."""
    return of_header(headers)


async def test_an_authenticator_of_ones_own() -> None:
    for name in ("of_header", "of_header_later"):
        found = load_authenticator(f"{__name__}:{name}")
        assert await owner_of(found, {"x-user": "anna"}) == "anna"
        assert await owner_of(found, {}) is None
        assert await owner_of(found, {"x-user": "a" * 201}) is None
    for name in ("no.such.module:f", f"{__name__}:nothing", "json", f"{__name__}:ANNA"):
        with pytest.raises(AuthenticationError, match="authenticator"):
            load_authenticator(name)


def test_tokens_come_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert authenticator_of(None, None) is None
    monkeypatch.setenv("COOPER_TOKENS", f"anna:{ANNA},berta:{BERTA}")
    found = authenticator_of(None, None)
    assert found
    assert found({"authorization": f"Bearer {BERTA}"}) == "berta"
    with pytest.raises(AuthenticationError, match="cannot be read"):
        authenticator_of(tmp_path / "missing", None)


def test_owner_and_rate_come_before_the_body(tmp_path: Path) -> None:
    tokens = Tokens([f"anna:{ANNA}"], "the file")
    malformed = {"content": b"{", "headers": {"Content-Type": "application/json"}}
    limits = Limits(rate=3, grace=0.2)
    with serving(tmp_path / "s.sqlite", offers("esc"), authenticate=tokens, limits=limits) as url:
        anna, nobody = Client(url, ANNA), Client(url)
        for path in ("/threads", "/v1/chat/completions", f"/threads/{'0' * 32}/turns"):
            assert nobody.http.post(path, **malformed).status_code == 401  # type: ignore[arg-type]
        codes = [anna.http.post("/threads", **malformed).status_code for _ in range(5)]  # type: ignore[arg-type]
        assert codes == [400, 400, 400, 429, 429]
        anna.http.close()
        nobody.http.close()


def test_nothing_beyond_the_loopback_without_authentication() -> None:
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.org"):
        with pytest.raises(ServeError, match="--tokens"):
            serve({}, host=host, port=0, store=None, authenticate=None, settings=Settings())
