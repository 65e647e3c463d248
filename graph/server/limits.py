"""Limits on what clients may take: bytes, requests, open streams; and who may call at all."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from langgraph_cooper.graph.server.errors import ApiError, answer
from langgraph_cooper.graph.server.metrics import Metrics
from langgraph_cooper.graph.server.settings import Limits

MOST_KEYS = 10_000
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1", "")


class Rate:
    """A bucket of requests for each key, filled at an even pace.

    Args:
        per_minute: Requests that the bucket holds, and gains in a minute.
    """

    def __init__(self, per_minute: int) -> None:
        self._most = float(per_minute)
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, key: str) -> float:
        """Take a request of a key; return 0, or the seconds until there is one again."""
        now = time.monotonic()
        left, at = self._left.pop(key, (self._most, now))
        left = min(self._most, left + (now - at) * self._most / 60)
        if len(self._left) >= MOST_KEYS:  # the key that was used longest ago
            del self._left[next(iter(self._left))]
        self._left[key] = (left - 1 if left >= 1 else left, now)
        return 0.0 if left >= 1 else (1 - left) * 60 / self._most

    def check(self, key: str) -> None:
        """Take a request of a key.

        Raises:
            ApiError: There is none left (429).
        """
        if seconds := self.take(key):
            raise ApiError(
                429,
                "rate_limited",
                f"too many requests: send the next one in {seconds:.0f} seconds or later",
                {"Retry-After": str(int(seconds) + 1)},
            )


class Streams:
    """The open streams of this process, by owner."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._limits, self._metrics = limits, metrics
        self._open: Counter[str] = Counter()

    @contextmanager
    def one(self, owner: str) -> Iterator[None]:
        """Count a stream while it is open.

        Raises:
            ApiError: The owner (429) or the process (503) has as many as it may.
        """
        if self._open.total() >= self._limits.streams:
            raise ApiError(
                503, "too_many_streams", "the server has as many open streams as it may: wait",
                {"Retry-After": "5"},
            )  # fmt: skip
        if self._open[owner] >= self._limits.owner_streams:
            raise ApiError(
                429, "too_many_streams",
                f"you have {self._limits.owner_streams} open streams: close one",
                {"Retry-After": "5"},
            )  # fmt: skip
        self._open[owner] += 1
        self._metrics.streams.set(self._open.total())
        try:
            yield
        finally:
            self._open[owner] -= 1
            if not self._open[owner]:
                del self._open[owner]
            self._metrics.streams.set(self._open.total())


class Gate:
    """Middleware that refuses bodies that are too large or too slow, and foreign pages.

    A page in a browser can send requests to this machine. Where no token shows whose they are,
    only requests to this machine's own names are answered, and those of its own pages.

    Args:
        app: The application.
        body: Bytes of a body.
        local: Whether nobody is asked for a token.
        otherwise: What a foreign page's owner can do.
        pause: Seconds between two pieces of a body.
    """

    def __init__(
        self,
        app: ASGIApp,
        body: int,
        local: bool,
        otherwise: str = "start it with --tokens",
        pause: float = Limits.arrive,
    ) -> None:
        self._app, self._body, self._local, self._otherwise = app, body, local, otherwise
        self._pause = pause

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): v.decode("latin-1") for name, v in scope["headers"]}
        if refused := self._refusal(headers):
            await answer(refused)(scope, receive, send)
            return
        taken, whole = 0, False

        async def counted() -> Message:
            nonlocal refused, taken, whole
            if refused:
                return {"type": "http.disconnect"}
            try:
                async with asyncio.timeout(None if whole else self._pause):
                    message = await receive()
            except TimeoutError:
                refused = _too_slow(self._pause)
                return {"type": "http.disconnect"}
            whole = whole or not message.get("more_body", False)
            taken += len(message.get("body", b""))
            if taken > self._body:
                refused = _too_large(self._body)
                return {"type": "http.disconnect"}
            return message

        async def kept(message: Message) -> None:
            if not refused:
                await send(message)

        try:
            await self._app(scope, counted, kept)
        except Exception:
            if not refused:
                raise
        if refused:
            await answer(refused)(scope, receive, send)

    def _refusal(self, headers: Mapping[str, str]) -> ApiError | None:
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._body:
            return _too_large(self._body)
        if not self._local:
            return None
        host = _host(f"//{headers.get('host', '')}")
        origin = headers.get("origin")
        if host in LOCAL_NAMES and (origin is None or _host(origin) in LOCAL_NAMES[:3]):
            return None
        return ApiError(
            403,
            "foreign_page",
            "without tokens the server answers this machine's own pages and programs alone: call "
            f"it as localhost, or {self._otherwise}",
        )


class Counted:
    """Middleware that counts the answers by route and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and count the answer when it begins."""

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                labels = (scope["method"], route, message["status"])
                self._metrics.requests.labels(*labels).inc()
            await send(message)

        await self._app(scope, receive, noted if scope["type"] == "http" else send)


def _too_large(most: int) -> ApiError:
    return ApiError(413, "too_large", f"the body is larger than {most:,} bytes: send less")


def _too_slow(pause: float) -> ApiError:
    return ApiError(
        408,
        "too_slow",
        f"nothing came of the body for {pause:g} seconds: send the request again",
        {"Connection": "close"},
    )


def _host(url: str) -> str | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return None if "@" in parts.netloc else parts.hostname or ""
