"""No test reaches beyond this machine, and none sees the keys or proxies of whoever runs it."""

from __future__ import annotations

import os
import socket
import sys
from ipaddress import ip_address
from typing import Any

import pytest

FOREIGN = ("OPENAI_", "LANGSMITH_", "LANGCHAIN_")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(FOREIGN) or name.upper() in PROXIES:
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _unknown_servers() -> None:
    """No test knows what another one's server refused: ports are used again."""
    if quirks := sys.modules.get("langgraph_cooper.nodes.llm.quirks"):
        quirks.forget()


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow one another at once."""
    monkeypatch.setattr("langgraph_cooper.nodes.llm.retry.FIRST_WAIT", 0.01)


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuses connections elsewhere. Where a library swallows the refusal, it is as if offline."""
    for method in ("connect", "connect_ex"):
        original = getattr(socket.socket, method)

        def guarded(self: socket.socket, address: Any, original: Any = original) -> Any:
            if self.family != socket.AF_UNIX and not _is_loopback(address[0]):
                raise ConnectionRefusedError(f"tests stay on the loopback, not {address[0]!r}")
            return original(self, address)

        monkeypatch.setattr(socket.socket, method, guarded)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
