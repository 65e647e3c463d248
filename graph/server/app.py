"""The application: its routes, its errors, its limits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import Depends, FastAPI

from langgraph_cooper.graph.server import (
    completion_routes,
    health_routes,
    page,
    thread_routes,
    turn_routes,
)
from langgraph_cooper.graph.server.chats import Chats
from langgraph_cooper.graph.server.depends import bearer
from langgraph_cooper.graph.server.errors import add_handlers
from langgraph_cooper.graph.server.limits import Counted, Gate
from langgraph_cooper.graph.server.owners import Authenticator, nobody_is_asked
from langgraph_cooper.graph.server.service import Offer, Service
from langgraph_cooper.graph.server.settings import Settings

ABOUT = (
    "Conversations with COOPER: threads, turns as streams of events (`cooper events` prints their "
    "schema), and OpenAI's chat completions on the same threads. See docs/server.md."
)


def create_app(
    offers: Mapping[str, Offer],
    *,
    store: str | None = None,
    authenticate: Authenticator = nobody_is_asked,
    settings: Settings | None = None,
) -> FastAPI:
    """Create the ASGI application.

    Args:
        offers: The tasks by name; the first is the default.
        store: An SQLite file or the URL of a PostgreSQL database; None: a file in the user's data
            folder.
        authenticate: Tells whose a request is.
        settings: The operator's choices. With `local`, only requests to this machine's own names
            are answered: keep it where nobody is asked for a token.
    """
    service = Service(offers, store, authenticate, settings or Settings())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.open():
            yield

    app = FastAPI(
        title="COOPER", version=version("langgraph-cooper"), description=ABOUT, lifespan=lifespan
    )
    app.state.service, app.state.chats = service, Chats(service)
    app.include_router(health_routes.router)
    asked = [] if authenticate is nobody_is_asked else [Depends(bearer)]
    for routes in (thread_routes, turn_routes, completion_routes):
        app.include_router(routes.router, dependencies=asked)
    app.include_router(page.owners)
    app.include_router(page.router)
    add_handlers(app)

    app.add_middleware(Counted, metrics=service.metrics)
    limits, local = service.settings.limits, service.settings.local
    app.add_middleware(Gate, body=limits.body, local=local, pause=limits.arrive)
    return app
