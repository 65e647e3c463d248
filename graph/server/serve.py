"""Runs the application with uvicorn."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvicorn

from langgraph_cooper.graph.cooper import create_cooper
from langgraph_cooper.graph.server.app import create_app
from langgraph_cooper.graph.server.owners import (
    Authenticator,
    Tokens,
    load_authenticator,
    nobody_is_asked,
    tokens_from_file,
)
from langgraph_cooper.graph.server.runs import Runs
from langgraph_cooper.graph.server.service import Offer, Service
from langgraph_cooper.graph.server.settings import Settings
from langgraph_cooper.prompts import CooperError, load_task

TOKENS = "COOPER_TOKENS"
"""The environment variable with `owner:token` lines, or several in one, parted by commas."""


class ServeError(CooperError):
    """The server cannot be started as it was asked to."""


def offers_of(tasks: Sequence[str], **choices: Any) -> dict[str, Offer]:
    """Return the tasks to serve. See `create_cooper` for the choices.

    Raises:
        ServeError: Two tasks have one name.
    """
    offers: dict[str, Offer] = {}
    for name in tasks:
        spec = load_task(name)
        if spec.name in offers:
            raise ServeError(f"two tasks are called {spec.name!r}: give each a name of its own")
        offers[spec.name] = Offer(spec, create_cooper(spec, **choices))
    return offers


def authenticator_of(tokens: Path | None, authenticator: str | None) -> Authenticator | None:
    """Return the authenticator that the operator chose: tokens, a function, or none.

    Raises:
        AuthenticationError: It cannot be used.
    """
    if authenticator:
        return load_authenticator(authenticator)
    if tokens:
        return tokens_from_file(tokens)
    if lines := os.environ.get(TOKENS):
        return Tokens(lines.replace(",", "\n").splitlines(), f"${TOKENS}")
    return None


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a host."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def serve(
    offers: dict[str, Offer],
    *,
    host: str,
    port: int,
    store: str | None,
    authenticate: Authenticator | None,
    settings: Settings,
    tell: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGINT or SIGTERM; turns and streams then have a little time to end.

    `tell` is called when the store is open.

    Raises:
        ServerStoreError: The store cannot be used.
        ServeError: The server would listen beyond the loopback without authentication.
    """
    if authenticate is None and not is_loopback(host):
        raise ServeError(
            f"without authentication anybody who reaches {host} could read and write: name a file "
            "of tokens with --tokens, an --authenticator, or listen on 127.0.0.1"
        )
    app = create_app(
        offers, store=store, authenticate=authenticate or nobody_is_asked, settings=settings
    )
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,  # it would keep the ids of threads
        timeout_graceful_shutdown=int(settings.limits.grace) + 5,
        timeout_keep_alive=30,
        server_header=False,
        lifespan="off",  # its errors would be tracebacks
    )
    service: Service = app.state.service

    async def run() -> None:
        async with service.open():
            tell()
            await Server(config, service.runs).serve()

    asyncio.run(run())


class Server(uvicorn.Server):
    """A server that stops the turns before the streams, so that these tell the end.

    Args:
        config: uvicorn's.
        runs: The turns that run.
    """

    def __init__(self, config: uvicorn.Config, runs: Runs) -> None:
        super().__init__(config)
        self._runs = runs

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse new connections, let turns and streams end, and close the store."""
        closing = asyncio.create_task(self._runs.close())
        await super().shutdown(sockets)
        await closing
