"""Loads a thing once, however many threads ask for it, and across forks."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from threading import RLock
from typing import Generic, TypeVar

from langgraph_cooper.ranker.model.forking import wait_before_fork

Loaded = TypeVar("Loaded")


class once(Generic[Loaded]):  # noqa: N801 (a decorator)
    """Keep what a function loads; other threads wait meanwhile, and so does a fork.

    Args:
        load: The function.
    """

    def __init__(self, load: Callable[[], Loaded]) -> None:
        self._cached = lru_cache(maxsize=1)(load)
        self._loading = RLock()
        wait_before_fork(self._loading)

    def __call__(self) -> Loaded:
        """Return what was loaded. Once it is there, no lock is taken."""
        if self._cached.cache_info().currsize:
            return self._cached()
        with self._loading:
            return self._cached()

    def forget(self) -> None:
        """Load it again the next time."""
        self._cached.cache_clear()
