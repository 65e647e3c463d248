"""Keeps what models answered in a conversation, and plays it again.

The answers are kept as they came over the wire, so that a replay goes through the same client, with
its retries and faults. A request is known by the texts of its messages: a server's refusals change
other parts of it, and delimiters are drawn anew each time. Keys are not kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpx
from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel, ConfigDict

from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.nodes.finetuned.tape import SAMPLES
from langgraph_cooper.nodes.llm.models import bare_name, endpoint_of, openai_model
from langgraph_cooper.prompts import CooperError

DELIMITER = re.compile(r"<(/?[\w-]+) [0-9a-f]{16}>")
CREDENTIALS = re.compile(r"(?<=://)[^/?#]*@")
KEPT_HEADERS = ("content-type", "retry-after", "x-should-retry")
FAILED = ("ConnectError", "ReadError", "ReadTimeout", "RemoteProtocolError", "ConnectTimeout")


class ReplayError(CooperError):
    """A record lacks what a replay asks for: prompts or models are others than they were."""


class Exchange(BaseModel):
    """A request and what came back.

    Attributes:
        request: A hash of the messages' texts.
        status: HTTP status; 0 where nothing came.
        headers: Those that a client heeds.
        body: What came, as text.
        error: The kind of the connection's fault, if it broke off.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    request: str
    status: int = 0
    headers: dict[str, str] = {}
    body: str = ""
    error: str = ""


class Tape:
    """What models answered in one conversation.

    Args:
        record: A tape's `record`, to be played; None: a new tape, to be recorded.

    Attributes:
        missing: Number of requests of a replay that the record has no answer to.
    """

    def __init__(self, record: dict[str, Any] | None = None) -> None:
        self._playing = record is not None
        given = record or {}
        self._exchanges = [Exchange.model_validate(each) for each in given.get("exchanges", [])]
        self._samples: list[list[str]] = [list(each) for each in given.get("samples", [])]
        self.missing = 0

    def record(self) -> dict[str, Any]:
        """Return what was kept, as plain values; empty where no model was asked."""
        found: dict[str, Any] = {}
        if self._exchanges:
            found["exchanges"] = [
                each.model_dump(exclude_defaults=True) for each in self._exchanges
            ]
        if self._samples:
            found["samples"] = self._samples
        return found

    def keep(self, exchange: Exchange) -> None:
        """Keep an exchange."""
        self._exchanges.append(exchange)

    def play(self, request: str) -> Exchange:
        """Return and use up the first exchange left of a request.

        Raises:
            ReplayError: There is none.
        """
        for place, exchange in enumerate(self._exchanges):
            if exchange.request == request:
                return self._exchanges.pop(place)
        self.missing += 1
        raise ReplayError(
            "the record has no answer to a request: it was made with other prompts, or by another "
            "version"
        )

    def samples(self, seed: int, draw: Callable[[], list[str]]) -> list[str]:
        """Keep the fine-tuned generator's samples of a turn, or return those that were kept."""
        if not self._playing:
            found = draw()
            self._samples.append(found)
            return found
        if not self._samples:
            self.missing += 1
            raise ReplayError("the record has no samples of this turn")
        return self._samples.pop(0)


_TAPE: ContextVar[Tape | None] = ContextVar("cooper_tape", default=None)


@contextmanager
def taped(tape: Tape) -> Iterator[None]:
    """Let the models of this task record to a tape, or play it."""
    tokens = _TAPE.set(tape), SAMPLES.set(tape)
    try:
        yield
    finally:
        _TAPE.reset(tokens[0])
        SAMPLES.reset(tokens[1])


def request_key(body: bytes) -> str:
    """Return the hash by which a request is known."""
    try:
        messages = json.loads(body)["messages"]
        texts = " ".join(str(message["content"]) for message in messages)
    except (ValueError, KeyError, TypeError):
        texts = body.decode("utf-8", "replace")
    plain = " ".join(DELIMITER.sub(r"<\1>", texts).split())
    return hashlib.sha256(plain.encode("utf-8", "replace")).hexdigest()[:32]


class RecordingClient(httpx.AsyncClient):
    """An HTTP client that keeps what comes back on the task's tape, if it has one."""

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request and keep the answer, streamed or not."""
        tape = _TAPE.get()
        if tape is None or request.method != "POST":
            return await super().send(request, **options)
        key = request_key(await request.aread())
        request.headers["accept-encoding"] = "identity"  # the body is kept as text
        try:
            response = await super().send(request, **options)
        except httpx.TransportError as error:
            tape.keep(Exchange(request=key, error=type(error).__name__))
            raise
        headers = {
            name: response.headers[name] for name in KEPT_HEADERS if name in response.headers
        }
        begun = Exchange(request=key, status=response.status_code, headers=headers)
        if options.get("stream"):
            response.stream = _Teed(response, tape, begun)
        else:
            tape.keep(begun.model_copy(update={"body": response.text}))
        return response


class _Teed(httpx.AsyncByteStream):
    """A body that is kept while it is read; what was not read to its end broke off."""

    def __init__(self, response: httpx.Response, tape: Tape, begun: Exchange) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self._stream = response.stream
        self._tape, self._begun = tape, begun
        self._parts: list[bytes] = []
        self._error = "ReadError"
        self._kept = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._stream:
                self._parts.append(part)
                yield part
            self._error = ""
        except httpx.TransportError as error:
            self._error = type(error).__name__
            raise
        finally:
            self._keep()

    async def aclose(self) -> None:
        self._keep()
        await self._stream.aclose()

    def _keep(self) -> None:
        if not self._kept:
            self._kept = True
            body = b"".join(self._parts).decode("utf-8", "replace")
            self._tape.keep(self._begun.model_copy(update={"body": body, "error": self._error}))


class _Played(httpx.AsyncByteStream):
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._exchange.body.encode()
        if self._exchange.error:
            raise _failure(self._exchange.error)


async def _play(request: httpx.Request) -> httpx.Response:
    tape = _TAPE.get()
    if tape is None:
        raise ReplayError("a replay asks a model outside its conversation")
    exchange = tape.play(request_key(await request.aread()))
    if not exchange.status:
        raise _failure(exchange.error)
    return httpx.Response(exchange.status, headers=exchange.headers, stream=_Played(exchange))


def _failure(name: str) -> httpx.TransportError:
    kind = getattr(httpx, name) if name in FAILED else httpx.ReadError
    error: httpx.TransportError = kind("as recorded")
    return error


class ModelAt(BaseModel):
    """A chat model at its endpoint, as a record names it.

    Attributes:
        name: Its name there.
        url: The address without a name and password; empty: OpenAI's own.
        temperature: Sampling temperature; None: the endpoint's.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    url: str = ""
    temperature: float | None = None

    @property
    def identity(self) -> str:
        """Tells it from other models."""
        return f"{self.name} {self.url} {self.temperature}"


def without_credentials(address: str) -> str:
    """Return a web address without the name and password that may stand before its host."""
    return CREDENTIALS.sub("", address)


ENDPOINT = "endpoint:"
ENDPOINT_KEY = "COOPER_ENDPOINT_KEY"
"""The key for endpoints that are named by their address: OPENAI_API_KEY is for OPENAI_BASE_URL."""


def model_at(spec: str, temperature: float | None = None) -> ModelAt:
    """Return the model of a name, or of `endpoint:URL#NAME`.

    Raises:
        ModelError: The address is none, or there is no key for OpenAI's own endpoint.
    """
    name, url, _ = _parts(spec)
    return ModelAt(name=name, url=without_credentials(url or ""), temperature=temperature)


def _parts(spec: str) -> tuple[str, str | None, str]:
    """Return a model's name, its address and its key."""
    if not spec.startswith(ENDPOINT):
        return bare_name(spec), *endpoint_of(spec)
    address, mark, name = spec.removeprefix(ENDPOINT).partition("#")
    if not mark or not name.strip() or not address.startswith(("http://", "https://")):
        raise ModelError(
            f"{without_credentials(spec)!r} names no model at an endpoint: write "
            "endpoint:http://HOST/v1#MODEL"
        )
    return name.strip(), address.rstrip("/"), os.environ.get(ENDPOINT_KEY) or "none"


def recorded(spec: str, model: ModelAt, client: httpx.AsyncClient) -> BaseChatModel:
    """Return a chat model whose answers are kept on the tape of the task that asks it."""
    name, url, key = _parts(spec)
    return openai_model(name, model.temperature, url, key, http_async_client=client)


def replayed(model: ModelAt, client: httpx.AsyncClient, probe: httpx.Client) -> BaseChatModel:
    """Return a chat model that answers from the tape of the task that asks it.

    Args:
        model: The model.
        client: One of `replaying_client`.
        probe: Answers that nothing is there: servers are asked how many slots they have.
    """
    url = model.url or None
    return openai_model(
        model.name, model.temperature, url, "none", http_async_client=client, http_client=probe
    )


def replaying_client() -> httpx.AsyncClient:
    """Return a client that answers from the task's tape and reaches nobody."""
    return httpx.AsyncClient(transport=httpx.MockTransport(_play))


def silent_client() -> httpx.Client:
    """Return a client to which nothing answers."""
    return httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(404)))
