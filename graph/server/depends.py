"""What routes are given."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, cast

from fastapi import Depends, Header, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from langgraph_cooper.graph.server.models import EVENT_NUMBER
from langgraph_cooper.graph.server.service import Service


def _service(request: Request) -> Service:
    return cast("Service", request.app.state.service)


class OwnersRoute(APIRoute):
    """A route that asks whose a request is, and how many came, before it reads the body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        handle = super().get_route_handler()

        async def asked(request: Request) -> Response:
            request.state.owner = await _service(request).owner(request)
            return await handle(request)

        return asked


def _owner(request: Request) -> str:
    return cast("str", request.state.owner)


bearer = HTTPBearer(auto_error=False)
"""Tells OpenAPI of the tokens; `Service.owner` checks them."""

Served = Annotated[Service, Depends(_service)]
Owner = Annotated[str, Depends(_owner)]
"""Whose the request is, on an `OwnersRoute`."""
LastEventId = Annotated[
    str,
    Header(
        alias="Last-Event-ID",
        pattern=EVENT_NUMBER,
        description="The number of the last event that was read; the ones after it follow.",
    ),
]
