"""Where the server listens, and what it says of it."""

from __future__ import annotations

import logging
import socket
from contextlib import closing
from pathlib import Path

import pytest

from langgraph_cooper.graph.server.serve import (
    ServeError,
    authenticator_of,
    bound,
    check_country,
    offers_of,
    serve,
)
from langgraph_cooper.graph.server.settings import Settings
from langgraph_cooper.graph.server.store import ServerStoreError, open_store


def test_a_free_port_is_found() -> None:
    (found,) = bound("127.0.0.1", 0)
    with closing(found):
        assert found.getsockname()[1] > 0
        with socket.create_connection(found.getsockname()):
            pass


def test_a_place_that_cannot_be_listened_on_is_named_before_anything_is_told(
    tmp_path: Path,
) -> None:
    told: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServeError, match=f"cannot listen on 127.0.0.1, port {port} .*--port"):
            serve(
                {}, host="127.0.0.1", port=port, store=str(tmp_path / "s.sqlite"),
                authenticate=None, settings=Settings(), tell=told.append,
            )  # fmt: skip
    with pytest.raises(ServeError, match=r"cannot listen on 192\.0\.2\.1, port 0"):
        bound("192.0.2.1", 0)
    assert told == []


def test_the_log_does_not_tell_of_clients_that_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """asyncio warns where several pieces are written to a client that has just left."""
    with pytest.raises(ServeError):
        serve(
            {},
            host="192.0.2.1",
            port=0,
            store=str(tmp_path / "s.sqlite"),
            authenticate=lambda _: "a",
            settings=Settings(),
        )
    transport = logging.getLogger("asyncio")
    transport.warning("socket.send() raised exception.")
    transport.warning("another warning")
    assert caplog.messages == ["another warning"]


def test_owners_come_from_one_place(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("anna:token-of-anna-0123\n", encoding="utf-8")
    assert authenticator_of(tokens, None)
    with pytest.raises(ServeError, match="--tokens and --authenticator are both given"):
        authenticator_of(tokens, "my_app:owner_of")


def test_a_country_is_one_whose_help_lines_are_known() -> None:
    check_country(None)
    check_country("gb")
    for wrong in ("GBR", "", "G1", "XX"):
        with pytest.raises(ServeError, match="two letters") as found:
            check_country(wrong)
        assert "deadline" not in str(found.value)


def test_a_guards_model_is_for_the_tasks_that_have_a_guard() -> None:
    assert set(offers_of(["esc", "examples/negotiation.toml"], guard_model="m")) > {"esc"}
    with pytest.raises(ServeError, match="leave --guard-model out"):
        offers_of(["examples/negotiation.toml"], guard_model="m")


async def test_a_file_in_a_folder_that_is_not_there_says_what_helps(tmp_path: Path) -> None:
    file = tmp_path / "nowhere" / "s.sqlite"
    with pytest.raises(ServerStoreError, match=r"folder .*nowhere is not there: make it, or name"):
        async with open_store(str(file), lambda _: None):
            pass
    assert not file.parent.exists()
