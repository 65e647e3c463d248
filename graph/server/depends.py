"""What routes are given."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Header, Request
from fastapi.security import HTTPBearer

from langgraph_cooper.graph.server.service import Service


def _service(request: Request) -> Service:
    return cast("Service", request.app.state.service)


async def _owner(request: Request) -> str:
    return await _service(request).owner(request)


bearer = HTTPBearer(auto_error=False)
"""Tells OpenAPI of the tokens; `Service.owner` checks them."""

Served = Annotated[Service, Depends(_service)]
Owner = Annotated[str, Depends(_owner)]
LastEventId = Annotated[
    str,
    Header(
        alias="Last-Event-ID",
        pattern=r"^[0-9]{0,15}$",
        description="The number of the last event that was read; the ones after it follow.",
    ),
]
