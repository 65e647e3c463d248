"""An OpenAI-compatible endpoint on the loopback; a test decides every answer.

with OpenAIServer(lambda request: Reply(status=500)) as server:
    ChatOpenAI(base_url=server.url, ...)
assert len(server.requests) == 3
"""

from __future__ import annotations

import json
import re
import select
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat
from typing import Any, Self

from tests.support.roles import Asked, recognise, sensible

PIECE = 20  # bytes of a dripping body


@dataclass(frozen=True)
class Request:
    """One request as it arrived, and when. Header names are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    at: float = field(default_factory=time.monotonic)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The prompt's messages."""
        return list(self.body.get("messages", []))

    @property
    def system(self) -> str:
        """The system prompt; where no such role is used, the first message, which then has it."""
        system = [m["content"] for m in self.messages if m["role"] in ("system", "developer")]
        return "\n".join(system or [m["content"] for m in self.messages[:1]])

    @property
    def given(self) -> str:
        """The prompt without the system prompt."""
        return "\n".join(m["content"] for m in self.messages if m["role"] in ("user", "assistant"))

    @property
    def asked(self) -> Asked:
        """The module that asks, and its aspect."""
        return recognise(self.system)

    @property
    def streaming(self) -> bool:
        """Whether the answer is wanted as server-sent events."""
        return bool(self.body.get("stream"))


@dataclass(frozen=True)
class Reply:
    """How a request is answered.

    Attributes:
        text: The assistant's message.
        status: HTTP status; from 400 on the body is an OpenAI error object.
        headers: Sent beside (or in place of) the server's own.
        raw: A body sent as it is, in place of a completion.
        delay: Seconds before anything is sent.
        chunk_delays: Seconds before each piece of a stream; the last holds for those that follow.
        cut: Close the connection half-way: no finish reason, no [DONE].
        finish: The finish reason; None: there is none, though the answer ends in good order.
        refusal: What stands in the message's `refusal`.
        broken: A line that stands half-way through a stream, in place of all that follows.
        drip: Seconds before each piece of a body that is not streamed.
        heard: The rest of a stream waits until this is set, and breaks off after a minute.
    """

    text: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    delay: float = 0.0
    chunk_delays: Sequence[float] = (0.0,)
    cut: bool = False
    finish: str | None = "stop"
    refusal: str | None = None
    broken: bytes | None = None
    drip: float = 0.0
    heard: threading.Event | None = None


def obey(request: Request) -> Reply:
    """Answer as an obedient model would; the default."""
    return Reply(sensible(request.system))


class OpenAIServer:
    """The endpoint, as a context manager.

    Args:
        reply: Decides the answer to each request; called from the server's threads. Assign to
            `reply` to change it between turns.
        keep_alive: Keep connections open after a whole answer, as servers on the internet do.

    Attributes:
        requests: All requests for an answer, in the order in which they came.
        connections: Those that are open.
        hung_up: How many clients closed their connection before they were answered.
        props: What the server tells of itself at /props, as llama.cpp's does; None: nothing.
    """

    def __init__(
        self, reply: Callable[[Request], Reply] = obey, *, keep_alive: bool = False
    ) -> None:
        self.reply = reply
        self.requests: list[Request] = []
        self.hung_up = 0
        self.connections: set[Any] = set()
        self.props: object = None
        self.closing = threading.Event()
        self._http = _HTTPServer(self, _KeepAlive if keep_alive else _Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """The value for OPENAI_BASE_URL."""
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def asked(self, key: str) -> list[Request]:
        """The requests of one module: "tracker:exploration", all "tracker", or "generator"."""
        return [r for r in self.requests if key in (r.asked.key, r.asked.role)]

    def arrived(self, count: int) -> int:
        """How many requests have come, waiting for so many: a client may give up before that."""
        until = time.monotonic() + 30
        while len(self.requests) < count and time.monotonic() < until:
            time.sleep(0.01)
        return len(self.requests)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()  # ends the delays that are still under way
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _HTTPServer(ThreadingHTTPServer):
    request_queue_size = 64

    def __init__(self, owner: OpenAIServer, handler: type[_Handler]) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that went away; any other error is a bug of the test."""
        import sys

        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """HTTP/1.0: the end of an answer is the end of the connection, also where it is cut."""

    server: _HTTPServer

    def setup(self) -> None:
        super().setup()
        self.server.owner.connections.add(self.connection)

    def finish(self) -> None:
        super().finish()
        self.server.owner.connections.discard(self.connection)

    def do_GET(self) -> None:
        props = self.server.owner.props
        if self.path == "/props" and props is not None:
            self._send(Reply(), "application/json", json.dumps(props).encode())
        else:
            self._send(Reply(status=404), "text/html", b"<h1>Not found</h1>")

    def do_POST(self) -> None:
        owner = self.server.owner
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.path, headers, body)
        owner.requests.append(request)
        reply = owner.reply(request)
        if self._left(reply.delay):
            return
        if reply.raw is not None:
            self._send(reply, "text/html", reply.raw)
        elif reply.status >= 400:
            error = {"message": reply.text or "scripted", "type": "scripted", "code": None}
            self._send(reply, "application/json", json.dumps({"error": error}).encode())
        elif request.streaming:
            self._stream(reply, request)
        else:
            whole = json.dumps(_completion(reply, request)).encode()
            self._send(reply, "application/json", whole)

    def _left(self, delay: float) -> bool:
        """Wait before an answer; return whether the client hung up meanwhile."""
        ends = time.monotonic() + delay
        while (left := ends - time.monotonic()) > 0:
            if self.server.owner.closing.wait(min(left, 0.02)):
                return False
            if select.select([self.connection], [], [], 0)[0]:
                self.server.owner.hung_up += 1
                return True
        return False

    def _send(self, reply: Reply, kind: str, body: bytes) -> None:
        length = {"Content-Type": kind, "Content-Length": str(len(body))}
        self._begin(reply, length)
        body = body[: len(body) // 2] if reply.cut else body
        size = PIECE if reply.drip else len(body)
        for start in range(0, len(body), max(size, 1)):
            self.server.owner.closing.wait(reply.drip)
            self.wfile.write(body[start : start + size])

    def _begin(self, reply: Reply, headers: Mapping[str, str]) -> None:
        self.send_response(reply.status)
        for name, value in {**headers, **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _stream(self, reply: Reply, request: Request) -> None:
        self._begin(reply, {"Content-Type": "text/event-stream"})
        pieces = re.findall(r"\S+\s*", reply.text)
        delays = chain(reply.chunk_delays, repeat(reply.chunk_delays[-1]))
        half = reply.cut or reply.broken is not None
        self._event(_chunk(request, {"role": "assistant", "content": ""}))
        for piece, delay in zip(pieces[: len(pieces) // 2 if half else None], delays, strict=False):
            self.server.owner.closing.wait(delay)
            self._event(_chunk(request, {"content": piece}))
            if reply.heard is not None and not reply.heard.wait(60):
                return
        if reply.broken is not None:
            self.wfile.write(reply.broken + b"\n\n")
        if half:
            return
        if reply.refusal is not None:
            self._event(_chunk(request, {"refusal": reply.refusal}))
        self._event(_chunk(request, {}, finish=reply.finish))
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, chunk: Mapping[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the requests are recorded."""


class _KeepAlive(_Handler):
    """HTTP/1.1, for answers that are not streamed."""

    protocol_version = "HTTP/1.1"


def _completion(reply: Reply, request: Request) -> dict[str, Any]:
    message = {"role": "assistant", "content": reply.text, "refusal": reply.refusal}
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 0,
        "model": request.body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": reply.finish}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


def _chunk(request: Request, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": request.body["model"],
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
