"""OpenAI's chat completions and models, on the same threads. A model is a task."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict
from sse_starlette import ServerSentEvent

from langgraph_cooper.graph.server.chats import Chats, Line, Role, chat_of, is_job
from langgraph_cooper.graph.server.depends import Owner, OwnersRoute, Served
from langgraph_cooper.graph.server.errors import ApiError, as_api_error, documented
from langgraph_cooper.graph.server.models import Text
from langgraph_cooper.graph.server.service import Answering, Service
from langgraph_cooper.graph.server.sse import EVENT_STREAM, Stream
from langgraph_cooper.graph.server.told import Told, told_of
from langgraph_cooper.graph.server.turn_routes import failure_of

router = APIRouter(prefix="/v1", tags=["chat completions"], route_class=OwnersRoute)

UNCOUNTED = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
NOTHING = "{}"
"""The answer to a job of a front end. Open WebUI finds no title in it, and uses the message."""

EXAMPLE: dict[str, Any] = {
    "model": "esc",
    "messages": [{"role": "user", "content": "I lost my job."}],
}
IGNORED = ("system", "developer")


class Piece(BaseModel):
    """A part of a message's content."""

    model_config = ConfigDict(extra="allow")

    type: str
    text: Text | None = None


class ChatMessage(BaseModel):
    """A message of the conversation. Those of the roles system and developer are ignored."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Text | list[Piece] | None = None

    @property
    def text(self) -> str:
        """All text of the message."""
        if isinstance(self.content, list):
            return " ".join(piece.text for piece in self.content if piece.text)
        return self.content or ""


class StreamOptions(BaseModel):
    """Options of a stream."""

    model_config = ConfigDict(extra="allow")

    include_usage: bool = Field(default=False, strict=True)


# In the schema alone: anything else is a 400 with a sentence of its own.
NONE_YET: JsonDict = {"maxItems": 0}
ONE: JsonDict = {"minimum": 1, "maximum": 1}


class ChatRequest(BaseModel):
    """A request for a chat completion. Fields that are not named here are ignored."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [EXAMPLE]})

    model: str = Field(max_length=100, description="A task's name.")
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=5_000)]
    stream: bool | None = Field(default=False, strict=True)
    stream_options: StreamOptions | None = None
    n: int | None = Field(default=None, strict=True, json_schema_extra=ONE)
    tools: list[Any] | None = Field(default=None, json_schema_extra=NONE_YET)
    functions: list[Any] | None = Field(default=None, json_schema_extra=NONE_YET)
    response_format: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = Field(
        default=None, description="`chat_id` and `message_id` name the chat and the request."
    )
    user: str | None = Field(default=None, max_length=300)


class Model(BaseModel):
    """A task as a model."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "langgraph-cooper"


class Models(BaseModel):
    """The tasks as models."""

    object: Literal["list"] = "list"
    data: list[Model]


@router.get("/models", responses=documented())
async def list_models(service: Served, _: Owner) -> Models:
    """List the tasks as models."""
    return Models(data=[Model(id=name) for name in service.tasks])


@router.get("/models/{model}", responses=documented(404))
async def read_model(model: str, service: Served, _: Owner) -> Model:
    """Show a task as a model."""
    return Model(id=service.task(model).spec.name)


@router.post(
    "/chat/completions",
    response_model=None,
    responses={
        **documented(404, 409, 502),
        200: {"content": {**EVENT_STREAM, "application/json": {"schema": {"type": "object"}}}},
    },
)
async def complete(request: Request, body: ChatRequest, service: Served, owner: Owner) -> Response:
    """Answer the last message of a conversation, in the thread that the conversation is in."""
    service.task(body.model)
    _check_supported(body)
    lines = _lines(body)
    metadata = {key: str(value) for key, value in (body.metadata or {}).items() if value}
    if is_job(request.headers, metadata, lines):
        return _of_job(service, owner, body)
    chat = chat_of(owner, body.model, request.headers, metadata, body.user)
    chats: Chats = request.app.state.chats
    answering = await chats.take(chat, lines)
    if body.stream:
        await service.begun(answering)
        chunks = _streamed(service, answering, body)
        return Stream(chunks, service.streams, owner, service.settings.limits)
    with service.streams.one(owner):
        told = await told_of(service.events(answering))
    if failure := failure_of(answering, told):
        raise failure
    return JSONResponse(_completion(answering.turn, body.model, told.text or ""))


def _check_supported(body: ChatRequest) -> None:
    wanted = {
        "n other than 1": body.n is not None and body.n != 1,
        "tools": bool(body.tools),
        "functions": bool(body.functions),
        "a response_format": (body.response_format or {}).get("type", "text") != "text",
    }
    for name, is_wanted in wanted.items():
        if is_wanted:
            raise ApiError(
                400, "unsupported", f"{name} cannot be had here: leave it out of the request"
            )


def _lines(body: ChatRequest) -> list[Line]:
    lines: list[Line] = []
    for message in body.messages:
        if message.role in ("tool", "function"):
            raise ApiError(400, "unsupported", "messages of tools cannot be read here")
        if message.role not in IGNORED and message.text.strip():
            role: Role = "user" if message.role == "user" else "assistant"
            lines.append(Line(role, message.text))
    if not lines or lines[-1].role != "user" or body.messages[-1].role != "user":
        raise ApiError(
            400, "invalid_request_error", "there is nothing to answer: end with a user's message"
        )
    return lines


def _of_job(service: Service, owner: str, body: ChatRequest) -> Response:
    if not body.stream:
        return JSONResponse(_completion("job", body.model, NOTHING))

    async def chunks() -> AsyncIterator[ServerSentEvent]:
        answer = _Chunks("job", body)
        for piece in (answer.said(NOTHING), *answer.end()):
            yield piece

    return Stream(chunks(), service.streams, owner, service.settings.limits)


def _completion(id: str, model: str, text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "refusal": None}
    return {
        "id": f"chatcmpl-{id}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": UNCOUNTED,
    }


class _Chunks:
    """Forms the chunks of a streamed completion."""

    def __init__(self, id: str, body: ChatRequest) -> None:
        self._usage = bool(body.stream_options and body.stream_options.include_usage)
        self._common = {
            "id": f"chatcmpl-{id}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": body.model,
        }
        self._begun = False

    def said(self, text: str) -> ServerSentEvent:
        """Return a piece of the reply."""
        role = {} if self._begun else {"role": "assistant"}
        self._begun = True
        return self._chunk([{"index": 0, "delta": {**role, "content": text}}])

    def end(self) -> list[ServerSentEvent]:
        """Return the end of the stream."""
        chunks = [self._chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}])]
        if self._usage:
            chunks.append(self._chunk([], usage=UNCOUNTED))
        return [*chunks, ServerSentEvent(data="[DONE]")]

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> ServerSentEvent:
        for choice in choices:
            choice.setdefault("finish_reason", None)
        data = {**self._common, "choices": choices, **more}
        return ServerSentEvent(data=json.dumps(data, ensure_ascii=False))


async def _streamed(
    service: Service, answering: Answering, body: ChatRequest
) -> AsyncIterator[ServerSentEvent]:
    answer, told = _Chunks(answering.turn, body), Told()
    try:
        async for logged in service.events(answering):
            new = _new_words(told, logged.event)
            if new and not answering.ended:
                yield answer.said(new)
        if answering.ended:  # its log may tell of attempts that were cut
            yield answer.said(told.text or "")
    except Exception as error:
        yield _failed(as_api_error(error))
        return
    if failure := failure_of(answering, told):
        yield _failed(as_api_error(failure))
        return
    for chunk in answer.end():
        yield chunk


def _new_words(told: Told, event: Mapping[str, Any]) -> str:
    """Return what an event adds to the words; what replaces them comes in a paragraph of its own.

    Words that were sent cannot be taken back.
    """
    before = told.shown
    told.hear(dict(event))
    return told.shown[len(before) :]


def _failed(error: ApiError) -> ServerSentEvent:
    body = {"message": str(error), "type": error.type, "code": error.type, "param": None}
    return ServerSentEvent(data=json.dumps({"error": body}))
