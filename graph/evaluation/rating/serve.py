"""Serves the page for raters with uvicorn."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from langgraph_cooper.graph.evaluation.rating.errors import RatingError


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: The address.
        port: The port; 0 for any that is free.

    Raises:
        RatingError: The port is taken or not allowed, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            told = f"the port {port} of {host} is in use: choose another with --port, or 0 for any"
        else:
            told = f"nothing can be served on {host}:{port} ({error.strerror}): choose another"
        raise RatingError(told) from None


def serve(app: FastAPI, listening: socket.socket, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        app: The application.
        listening: Where. It is closed at the end.
        ready: Is told the address of the page.
    """
    host, port = listening.getsockname()[:2]
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", server_header=False,
        timeout_graceful_shutdown=2,
    )  # fmt: skip
    with listening:
        ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        uvicorn.Server(config).run([listening])
