"""The page that the server shows at `/`: a conversation, and the thinking behind each reply.

It is plain HTML, CSS and JavaScript modules, served as they are: nothing is built, and nothing
comes from elsewhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from langgraph_cooper.graph.server.depends import Owner, OwnersRoute, Served

FOLDER = Path(__file__).parent
MEDIA = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = "; ".join((
    "default-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "object-src 'none'",
))  # fmt: skip
"""Scripts, styles and connections of this server alone, none of them written into the page."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",  # asked again after an update; unchanged files are not sent
}

router = APIRouter(include_in_schema=False)
owners = APIRouter(include_in_schema=False, route_class=OwnersRoute)


class PageTask(BaseModel):
    """A task as the page shows it."""

    name: str
    title: str
    opens: Literal["user", "system"] = Field(description="Who speaks first.")
    aspects: list[str]


class PageTasks(BaseModel):
    """The server's tasks, the default first."""

    tasks: list[PageTask]


@router.api_route("/", methods=["GET", "HEAD"])
def index() -> FileResponse:
    """Return the page. It holds nothing of a conversation, so it needs no token."""
    return FileResponse(FOLDER / "index.html", media_type="text/html", headers=HEADERS)


@owners.get("/page/tasks")
async def tasks(service: Served, owner: Owner) -> PageTasks:
    """List the tasks to choose from."""
    specs = [offer.spec for offer in service.offers.values()]
    return PageTasks(
        tasks=[
            PageTask(name=s.name, title=s.title, opens=s.opens, aspects=list(s.aspect_names))
            for s in specs
        ]
    )


@router.api_route("/page/{name}", methods=["GET", "HEAD"])
def part(name: str) -> FileResponse:
    """Return a file of the page."""
    path = {path.name: path for path in FOLDER.iterdir()}.get(name)
    if path is None or path.suffix not in MEDIA:
        raise HTTPException(404, "there is no such file")
    return FileResponse(path, media_type=MEDIA[path.suffix], headers=HEADERS)
