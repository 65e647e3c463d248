"""Connections to model servers: those of an event loop end with it, and a child has its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import cache
from typing import Any

import httpx
from openai import DefaultAsyncHttpxClient, DefaultHttpxClient

from langgraph_cooper.ranker.model.forking import renew_after_fork


class LoopClient(DefaultAsyncHttpxClient):
    """An HTTP client with connections of their own for each event loop.

    A connection works in its own event loop only. In a plain client, one that the server kept open
    fails the first call of the next `asyncio.run`, and is never closed.
    """

    def __init__(self) -> None:
        self._tls = httpx.create_ssl_context()  # reads all certificates: once
        super().__init__(verify=self._tls)
        self._opened: dict[
            asyncio.AbstractEventLoop, tuple[DefaultAsyncHttpxClient, AsyncGenerator[Any]]
        ] = {}

    async def send(self, request: Any, **options: Any) -> Any:
        """Send a request through the client of the running event loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._opened:
            # A copy: another thread's loop may be added at the same time.
            for ended in [known for known in list(self._opened) if known.is_closed()]:
                self._opened.pop(ended, None)
            opening = self._open(loop)
            self._opened[loop] = (await anext(opening), opening)
        return await self._opened[loop][0].send(request, **options)

    async def _open(
        self, loop: asyncio.AbstractEventLoop
    ) -> AsyncGenerator[DefaultAsyncHttpxClient]:
        """Yield a client, and close it with its event loop.

        `asyncio.run` and servers end the generators of a loop before they close it.
        """
        client = DefaultAsyncHttpxClient(verify=self._tls)
        try:
            yield client
        finally:
            self._opened.pop(loop, None)
            await client.aclose()


@cache
def loop_client() -> LoopClient:
    """Return the client of this process."""
    return LoopClient()


class ProcessClient(DefaultHttpxClient):
    """An HTTP client with connections of their own for each process.

    Two processes on one connection would read the answers to each other's requests.
    """

    def __init__(self) -> None:
        self._tls = httpx.create_ssl_context()  # reads all certificates: once
        super().__init__(verify=self._tls)
        self.forked()
        renew_after_fork(self)

    def forked(self) -> None:
        """Begin without connections."""
        self._own = DefaultHttpxClient(verify=self._tls)

    def send(self, request: Any, **options: Any) -> Any:
        """Send a request through this process's connections."""
        return self._own.send(request, **options)

    def close(self) -> None:
        """Close them; other models of the process begin new ones."""
        self._own.close()
        self.forked()


@cache
def process_client() -> ProcessClient:
    """Return the client of this process."""
    return ProcessClient()
