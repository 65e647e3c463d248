"""Queues of callers in one process, each of whom gets a lock in turn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from langgraph_cooper.ranker.model.forking import renew_after_fork

Key = TypeVar("Key", bound=Hashable)
Queue = TypeVar("Queue")


class FairLock:
    """A lock that OS threads get in the order in which they asked; `threading.Lock` has none."""

    def __init__(self) -> None:
        self._callers: list[threading.Event] = []  # the first one has the lock
        self.forked()
        renew_after_fork(self)

    def forked(self) -> None:
        """Begin with a free guard in a child: a thread of its parent may have held it."""
        self._guard = threading.Lock()

    @contextmanager
    def turn(self, wait: float | None) -> Iterator[bool]:
        """Wait for the lock, None: for ever, and yield whether it came in time."""
        own = threading.Event()
        try:
            with self._guard:
                self._callers.append(own)
                self._callers[0].set()
            yield own.wait(wait)
        finally:
            with self._guard:
                if own in self._callers:  # not if Ctrl+C came before
                    self._callers.remove(own)
                if self._callers:
                    self._callers[0].set()


class Queues(Generic[Key, Queue]):
    """One lock per key, made for its first user and dropped after its last."""

    def __init__(self, make: Callable[[], Queue]) -> None:
        self._make = make
        self.forked()
        renew_after_fork(self)

    def forked(self) -> None:
        """Forget in a child the callers of its parent, which are in threads that it lacks."""
        self._queues: dict[Key, tuple[Queue, int]] = {}
        self._guard = threading.Lock()

    @contextmanager
    def of(self, key: Key) -> Iterator[Queue]:
        """Lend the lock of a key to one more user."""
        with self._guard:
            queue, users = self._queues.get(key) or (self._make(), 0)
            self._queues[key] = queue, users + 1
        try:
            yield queue
        finally:
            with self._guard:
                _, users = self._queues.pop(key, (queue, 1))  # none in a child forked meanwhile
                if users > 1:
                    self._queues[key] = queue, users - 1
