"""Runs the application with uvicorn."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.auto import AutoHTTPProtocol

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
from langgraph_cooper.graph.server.settings import Limits, Settings
from langgraph_cooper.prompts import CooperError, help_texts, load_task

TOKENS = "COOPER_TOKENS"
"""The environment variable with `owner:token` lines, or several in one, parted by commas."""

BACKLOG = 2_048
LEFT = "socket.send() raised exception."
"""asyncio's warning where a client left while several pieces were written to it: no fault."""


class ServeError(CooperError):
    """The server cannot be started as it was asked to."""


def offers_of(
    tasks: Sequence[str], *, guard_model: str | None = None, **choices: Any
) -> dict[str, Offer]:
    """Return the tasks to serve. See `create_cooper` for the choices.

    `guard_model` is for those that have a guard.

    Raises:
        ServeError: Two tasks have one name.
    """
    offers: dict[str, Offer] = {}
    for name in tasks:
        spec = load_task(name)
        if spec.name in offers:
            raise ServeError(f"two tasks are called {spec.name!r}: give each a name of its own")
        second = guard_model if spec.guard else None
        offers[spec.name] = Offer(spec, create_cooper(spec, guard_model=second, **choices))
    if guard_model and not any(offer.spec.guard for offer in offers.values()):
        raise ServeError("none of these tasks has a guard: leave --guard-model out")
    return offers


def authenticator_of(tokens: Path | None, authenticator: str | None) -> Authenticator | None:
    """Return the authenticator that the operator chose: tokens, a function, or none.

    Raises:
        AuthenticationError: It cannot be used.
        ServeError: Both are given.
    """
    if tokens and authenticator:
        raise ServeError("--tokens and --authenticator are both given: name one of them")
    if authenticator:
        return load_authenticator(authenticator)
    if tokens:
        return tokens_from_file(tokens)
    if lines := os.environ.get(TOKENS):
        return Tokens(lines.replace(",", "\n").splitlines(), f"${TOKENS}")
    return None


def check_country(code: str | None) -> None:
    """Check that the help lines of a country are known.

    Raises:
        ServeError: They are not.
    """
    if code is not None and not help_texts().knows(code):
        raise ServeError(
            f"{code[:20]!r} is none of the countries whose help lines are known: give --country "
            f"the two letters of {', '.join(help_texts().countries)}, or leave it out, and the "
            "lines of several countries are named"
        )


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
    tell: Callable[[int], object] = lambda _: None,
) -> None:
    """Serve until SIGINT or SIGTERM; turns and streams then have a little time to end.

    `tell` is given the port when the server listens and its store is open.

    Raises:
        ServerStoreError: The store cannot be used.
        ServeError: The server would listen beyond the loopback without authentication, or cannot
            listen.
    """
    if authenticate is None and not is_loopback(host):
        raise ServeError(
            f"without authentication anybody who reaches {host} could read and write: name a file "
            "of tokens with --tokens, an --authenticator, or listen on 127.0.0.1"
        )
    logging.getLogger("asyncio").addFilter(_is_news)
    app = create_app(
        offers, store=store, authenticate=authenticate or nobody_is_asked, settings=settings
    )
    service: Service = app.state.service
    with ExitStack() as opened:
        sockets = [opened.enter_context(one) for one in bound(host, port)]
        config = configured(app, settings.limits)

        async def run() -> None:
            async with service.open():
                tell(sockets[0].getsockname()[1])
                await Server(config, service.runs).serve(sockets)

        asyncio.run(run())


def _is_news(record: logging.LogRecord) -> bool:
    return record.msg != LEFT


def configured(app: ASGIApp, limits: Limits, **choices: Any) -> uvicorn.Config:
    """Return uvicorn's configuration, with other choices on request."""
    given: dict[str, Any] = {
        "http": type("TimedProtocol", (HeadTimer, AutoHTTPProtocol), {"seconds": limits.arrive}),
        "log_level": "warning",
        "access_log": False,  # it would keep the ids of threads
        "timeout_graceful_shutdown": int(limits.grace) + 5,
        "timeout_keep_alive": 30,
        "server_header": False,
        "lifespan": "off",  # its errors would be tracebacks
    }
    return uvicorn.Config(app, **{**given, **choices})


def bound(host: str, port: int) -> list[socket.socket]:
    """Return sockets that listen on all addresses of a host, on one port.

    Args:
        host: A name or an address.
        port: The port; 0: any that is free.

    Raises:
        ServeError: It cannot be listened on.
    """
    with ExitStack() as opened:
        sockets: list[socket.socket] = []
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            for family, address in dict.fromkeys((one[0], one[4][:2]) for one in found):
                one = socket.create_server((str(address[0]), port), family=family, backlog=BACKLOG)
                sockets.append(opened.enter_context(one))
                port = port or one.getsockname()[1]
        except OSError as error:
            raise ServeError(
                f"cannot listen on {host}, port {port} ({error.strerror or error}): name another "
                "--port, or an address of this machine with --host"
            ) from None
        opened.pop_all()
    return sockets


class HeadTimer(asyncio.Protocol):
    """Mixin for uvicorn's protocols: closes a connection whose next head does not come.

    uvicorn limits only the time after an answer in which nothing comes at all.
    """

    seconds: float
    transport: asyncio.Transport
    cycle: Any
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Expect a head."""
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        """Expect a head until one is whole, and none while its request is answered."""
        super().data_received(data)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._forget()
        super().connection_lost(exc)

    @property
    def _answers(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect(self) -> None:
        if self._answers:
            self._forget()
        elif self._timer is None and not self.transport.is_closing():
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.seconds, self._close)

    def _forget(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _close(self) -> None:
        self._timer = None
        if not self._answers:
            self.transport.close()


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
