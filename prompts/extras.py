"""The remedy where an optional part is not installed."""

from __future__ import annotations


def install(*extras: str) -> str:
    """Return how to install some of the package's extras; it is on no index yet."""
    return f"run \"pip install '.[{','.join(extras)}]'\" in a checkout of langgraph-cooper"
