"""Errors as HTTP answers: a status, one sentence, and a word that a program can read."""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from langgraph_cooper.graph.server.faults import OPERATOR, sentence
from langgraph_cooper.graph.server.models import FORMS
from langgraph_cooper.graph.threads.leaving import StoppedError
from langgraph_cooper.graph.threads.locks import LockError
from langgraph_cooper.graph.threads.turns import ThreadBusyError
from langgraph_cooper.nodes.errors import InputError, ModelError
from langgraph_cooper.prompts import CooperError

logger = logging.getLogger(__name__)

LONGEST = 80
"""Characters of a field's name in an error: a client chooses the name."""
SOON = {"Retry-After": "1"}
PLAIN = {
    "bool_type": "give true or false",
    "dict_type": "give an object",
    "extra_forbidden": "this field is unknown; leave it out",
    "greater_than_equal": "give {ge} or more",
    "int_parsing": "give a whole number",
    "int_type": "give a whole number",
    "less_than_equal": "give {le} or less",
    "list_type": "give an array",
    "literal_error": "give {expected}",
    "missing": "this field is missing; give it",
    "model_attributes_type": "give an object",
    "string_too_long": "give at most {max_length} characters",
    "string_too_short": "it is empty; give a text",
    "string_type": "give a text",
    "too_long": "it is too long; give at most {max_length}",
    "too_short": "it is empty; give at least {min_length}",
}
"""Sentences for pydantic's kinds of fault, with places for their context."""
MESSAGES = {
    "missing": "it is missing; give the user's words, or null to say nothing new",
    "too_short": "it is empty; write something to answer",
    "too_long": "it is too long; give at most {max_length} characters",
}
"""The same for the message of a turn."""
TOPIC = "give its words, or an object with topic and, if you like, strategy and aspect"
NO_TYPE = "its Content-Type is {found}; send the header Content-Type: application/json"
CODES = {401: "unauthenticated", 404: "not_found", 405: "method_not_allowed"}


class ErrorDetail(BaseModel):
    """What went wrong. The form is that of OpenAI's errors."""

    message: str = Field(description="One sentence that names the thing and the remedy.")
    type: str = Field(description="A word for programs, such as `thread_busy`.")
    code: str | None = None
    param: str | None = None


class ErrorBody(BaseModel):
    """The body of every answer that is not a success."""

    error: ErrorDetail


class ApiError(CooperError):
    """A request that cannot be answered.

    Attributes:
        status: The HTTP status.
        type: A word for programs.
        headers: Headers of the answer.
    """

    def __init__(
        self, status: int, type: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.type, self.headers = status, type, dict(headers or {})


def not_found(what: str) -> ApiError:
    """Return the error for a thing that is not there, or is another owner's."""
    return ApiError(404, "not_found", f"there is no such {what}: name one of your own")


NO_JSON = ApiError(
    400,
    "invalid_json",
    "the body cannot be read as JSON: send an object in UTF-8, with no deep nesting or huge number",
)


def as_api_error(error: BaseException) -> ApiError:
    """Return any error as an answer. What clients cannot mend is logged, and told in general."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, ThreadBusyError):
        return ApiError(409, "thread_busy", str(error), SOON)
    if isinstance(error, StoppedError):
        return ApiError(409, "stopped", str(error))
    if isinstance(error, InputError):
        return ApiError(422, "invalid_request_error", str(error))
    if isinstance(error, ModelError):
        logger.warning("the language model failed (%s): %s", error.kind, error)
        return ApiError(502, "model_failed", sentence(error.kind))
    if isinstance(error, LockError) or is_of_database(error):
        logger.warning("the database cannot be used: %s", error)
        return ApiError(
            503,
            "store_unavailable",
            "the database of the conversations cannot be used at present: send the request again",
            {"Retry-After": "5"},
        )
    if isinstance(error, CooperError):
        logger.error("the server cannot work as it is set up: %s", error)
        return ApiError(500, "server_misconfigured", f"the server is not set up well: {OPERATOR}")
    logger.error("a request failed", exc_info=error)
    return ApiError(500, "internal_error", "the server failed: its log says why")


def is_of_database(error: BaseException) -> bool:
    """Return whether an error is that of SQLite, PostgreSQL, or a connection to it."""
    if isinstance(error, sqlite3.Error | ConnectionError):
        return True
    return any(kind.__module__.split(".")[0].startswith("psycopg") for kind in type(error).__mro__)


def answer(error: ApiError) -> JSONResponse:
    """Return the HTTP answer of an error."""
    body = ErrorBody(error=ErrorDetail(message=str(error), type=error.type, code=error.type))
    return JSONResponse(body.model_dump(), error.status, error.headers)


def add_handlers(app: FastAPI) -> None:
    """Let an application answer every error in the one form."""

    async def failed(_: Request, error: Exception) -> JSONResponse:
        return answer(as_api_error(error))

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return answer(_invalid(error, request.headers.get("content-type")))

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        if error.status_code == 400:  # bytes that are no UTF-8, nesting, a number of 5,000 digits
            return answer(NO_JSON)
        type = CODES.get(error.status_code, "invalid_request_error")
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_methods(app, request.url.path))
        return answer(ApiError(error.status_code, type, str(error.detail), headers))

    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    kinds: list[type[Exception]] = [CooperError, sqlite3.Error, ConnectionError, Exception]
    for kind in [*kinds, *_postgres_errors()]:
        app.add_exception_handler(kind, failed)


def _methods(app: FastAPI, path: str) -> list[str]:
    """Return the methods of a path; Starlette names those of the first route alone."""
    templates: dict[str, dict[str, Any]] = app.openapi()["paths"]
    return sorted(
        method.upper()
        for template, methods in templates.items()
        if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), path)
        for method in methods
    )


def _postgres_errors() -> list[type[Exception]]:
    try:
        import psycopg
    except ImportError:
        return []
    return [psycopg.Error]


def _invalid(error: RequestValidationError, content_type: str | None) -> ApiError:
    faults = error.errors()
    if any(fault["type"] == "json_invalid" for fault in faults):
        return NO_JSON
    told: dict[str, list[str]] = {}
    for fault in faults[:5]:
        told.setdefault(_place(fault), []).append(_sentence(fault, content_type)[:200])
    found = "; ".join(f"{place}: {', or '.join(messages)}" for place, messages in told.items())
    return ApiError(422, "invalid_request_error", f"the request cannot be used ({found})")


def _sentence(fault: Mapping[str, Any], content_type: str | None) -> str:
    kind, context = fault["type"], fault.get("ctx", {})
    if kind == "model_attributes_type":
        if tuple(fault["loc"]) == ("body", "topic"):
            return TOPIC
        if isinstance(fault.get("input"), bytes):  # FastAPI reads no JSON without the header
            return NO_TYPE.format(found=(content_type or "missing")[:LONGEST])
    if kind == "string_pattern_mismatch" and context["pattern"] in FORMS:
        return FORMS[context["pattern"]]
    plain = {**PLAIN, **MESSAGES} if tuple(fault["loc"]) == ("body", "message") else PLAIN
    return plain[kind].format(**context) if kind in plain else str(fault["msg"])


def _place(fault: Mapping[str, Any]) -> str:
    """Return the field of a fault, without pydantic's names of the types that it may have."""
    named = fault["type"] == "extra_forbidden"  # a client's own name may look like one of a type
    parts = [str(part) for part in fault["loc"] if part != "body"]
    kept = [part[:LONGEST] for part in parts if named or "[" not in part]
    return ".".join(kept) or "body"


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of a route's errors for OpenAPI, those of every route included."""
    common = (400, 401, 403, 413, 422, 429, 500, 503)
    return {status: {"model": ErrorBody} for status in sorted({*common, *statuses})}
