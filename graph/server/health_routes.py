"""The routes for those who operate the server. They need no token and show no conversation."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from langgraph_cooper.graph.server.depends import Served
from langgraph_cooper.graph.server.errors import ApiError, documented
from langgraph_cooper.graph.server.models import Health

router = APIRouter(tags=["operations"])

METRICS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}}
}


@router.get("/health", responses=documented())
async def health() -> Health:
    """Say that the process answers."""
    return Health(status="ok", version=version("langgraph-cooper"))


@router.get("/ready", responses=documented())
async def ready(service: Served) -> Health:
    """Say whether the models are loaded and the database can be reached."""
    await service.records.check()
    if service.failure:
        raise service.failure
    if not service.ready:
        raise ApiError(503, "warming_up", "the models are being loaded", {"Retry-After": "2"})
    return Health(status="ready", version=version("langgraph-cooper"))


@router.get("/metrics", response_class=Response, responses={**documented(), **METRICS})
async def metrics(service: Served) -> Response:
    """Show counters in Prometheus's format."""
    return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)
