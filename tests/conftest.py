"""No test reaches beyond this machine, and none sees the keys or proxies of the person who runs it.

Nor does a test depend on how busy the machine is, or on the tests that ran before it.
"""

from __future__ import annotations

import gc
import os
import socket
import ssl
import sys
from functools import cache
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Tests run side by side, and their matrices are small: threads would only wait for one another.
# Set before torch is imported; processes that a test starts inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes says how busy the machine is. In CI each run tries the same examples.
settings.register_profile(
    "cooper",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("cooper")

# Each HTTP client reads all certificate authorities, in 25 ms of computing; no test encrypts.
ssl.create_default_context = cache(ssl.create_default_context)

FOREIGN = ("OPENAI_", "LANGSMITH_", "LANGCHAIN_")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def pytest_collection_finish() -> None:
    """Keep what was imported out of the collector's way: it would look through it again and again.

    The fixtures that load the guard do the same for its imports.
    """
    gc.freeze()


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
