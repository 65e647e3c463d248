"""Loads a thing once, however many threads ask for it, and across forks."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from threading import RLock
from typing import TypeVar

from langgraph_cooper.ranker.model.forking import wait_before_fork

Loaded = TypeVar("Loaded")

_loading = RLock()
wait_before_fork(_loading)


def once(load: Callable[[], Loaded]) -> Callable[[], Loaded]:
    """Cache what a function loads; other threads wait meanwhile, and so does a fork."""
    cached = lru_cache(maxsize=1)(load)

    @wraps(load)
    def loaded() -> Loaded:
        if cached.cache_info().currsize:
            return cached()
        with _loading:
            return cached()

    return loaded
