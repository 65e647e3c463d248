"""The application behind the page for raters. The names of systems never leave it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from langgraph_cooper.graph.evaluation.interactive.rows import Conversation
from langgraph_cooper.graph.evaluation.rating import page
from langgraph_cooper.graph.evaluation.rating.errors import RatingError
from langgraph_cooper.graph.evaluation.rating.ratings import LONGEST_COMMENT, Ratings, asked_of
from langgraph_cooper.graph.evaluation.rating.rows import Answer, conversation_id
from langgraph_cooper.graph.server import page as shared
from langgraph_cooper.graph.server.errors import ApiError, add_handlers, as_api_error, not_found
from langgraph_cooper.graph.server.limits import Gate
from langgraph_cooper.prompts import CooperError, TaskSpec

MOST_BYTES = 100_000
"""Of a request."""

Rater = Annotated[str, Query(max_length=200, description="The rater's name.")]


class Work(BaseModel):
    """What is asked.

    Attributes:
        title: What the conversations are, in words.
        user: How one side is called.
        system: How the other side is called.
        rater: The name of the only rater; None: the page asks.
        pairs: Number of pairs.
        dimensions: Dimension -> question.
    """

    title: str
    user: str
    system: str
    rater: str | None
    pairs: int
    dimensions: dict[str, str]


class Answered(BaseModel):
    """An answer to a pair.

    Attributes:
        left: The id of the conversation that was shown on the left.
        answers: Dimension -> answer.
        comment: What the rater added.
    """

    model_config = ConfigDict(extra="forbid")

    left: str
    answers: dict[str, Answer]
    comment: str = Field("", max_length=LONGEST_COMMENT)


def create_app(
    ratings: Ratings, task: TaskSpec, *, rater: str | None = None, local: bool = True
) -> FastAPI:
    """Create the ASGI application.

    Args:
        ratings: The pairs and their ratings.
        task: Their task.
        rater: The only rater; None: the page asks for a name.
        local: Answer this machine's own pages alone.
    """
    app = FastAPI(title="COOPER: ratings", docs_url=None, redoc_url=None, openapi_url=None)
    work = Work(
        title=task.title, user=task.user_role, system=task.system_role, rater=rater,
        pairs=len(ratings.pairs), dimensions=asked_of(task),
    )  # fmt: skip

    def known(given: str) -> str:
        return ratings.known_as(rater if rater is not None else given)

    # The routes are coroutines, so that one of them at a time reads and writes the file.
    @app.get("/rating/work")
    async def asked() -> Work:
        return work

    @app.get("/rating/state")
    async def state(rater: Rater = "") -> dict[str, Any]:
        return _state(ratings, known(rater))

    @app.get("/rating/pairs/{pair}")
    async def pair_of(pair: str, rater: Rater = "") -> dict[str, Any]:
        return _shown(ratings, known(rater), _known(ratings, pair))

    @app.put("/rating/pairs/{pair}")
    async def answer(pair: str, given: Answered, rater: Rater = "") -> dict[str, Any]:
        name = known(rater)
        ratings.answer(name, _known(ratings, pair), given.left, given.answers, given.comment)
        return _state(ratings, name)

    _serve_page(app)
    add_handlers(app)
    app.add_exception_handler(CooperError, _refused)
    app.add_middleware(Gate, body=MOST_BYTES, local=local, otherwise="name a --host")
    return app


def _state(ratings: Ratings, rater: str) -> dict[str, Any]:
    return {
        "rater": rater,
        "pairs": [
            {"id": id, "done": ratings.rating(rater, id) is not None} for id in ratings.order(rater)
        ],
        "counts": ratings.counts(rater),
        "raters": len({*ratings.raters(), rater}),
    }


def _shown(ratings: Ratings, rater: str, id: str) -> dict[str, Any]:
    """Return a pair as a rater sees it: nothing in it tells the systems."""
    pair = ratings.pairs[id]
    rows = {conversation_id(row): row for row in (pair.one, pair.other)}
    left, right = ratings.sides(rater, id)
    before = ratings.rating(rater, id)
    role = pair.one.role
    return {
        "id": id,
        "about": [part for part in (role.problem, role.emotion) if part],
        "situation": role.situation,
        "left": {"id": left, "said": _said(rows[left])},
        "right": {"id": right, "said": _said(rows[right])},
        "answers": before.answers if before else {},
        "comment": before.comment if before else "",
    }


def _said(row: Conversation) -> list[dict[str, str]]:
    return [{"by": one.speaker, "text": one.text} for one in row.said]


def _known(ratings: Ratings, id: str) -> str:
    if id not in ratings.pairs:
        raise ApiError(404, "not_found", "the server has other pairs now: load the page again")
    return id


async def _refused(_: Any, error: Exception) -> Any:
    from langgraph_cooper.graph.server.errors import answer

    if isinstance(error, RatingError):
        return answer(ApiError(422, "invalid_request_error", str(error)))
    if isinstance(error, ApiError):
        return answer(as_api_error(error))
    return answer(ApiError(507, "not_saved", str(error)))  # the file cannot be written


def _serve_page(app: FastAPI) -> None:
    @app.get("/")
    def index() -> FileResponse:
        return _file(page.FOLDER / "index.html", "text/html")

    @app.get("/page/{name}")
    def part(name: str) -> FileResponse:
        folder = shared.FOLDER if name in page.SHARED else page.FOLDER
        path = folder / name
        if path.suffix not in shared.MEDIA or path.parent != folder or not path.is_file():
            raise not_found("file")
        return _file(path, shared.MEDIA[path.suffix])


def _file(path: Path, media: str) -> FileResponse:
    return FileResponse(path, media_type=media, headers=shared.HEADERS)
