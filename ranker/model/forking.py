"""What a fork waits for, and what begins anew in the child: threads do not survive a fork."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    from _thread import RLock

    Lock = RLock | threading.Lock


class Forked(Protocol):
    """An object with something that a child must not take over, such as a lock."""

    def forked(self) -> None:
        """Begin anew in a child."""


_waited_for: list[Lock] = []
_renewed: WeakSet[Forked] = WeakSet()
_awaited: list[Lock] = []  # one for each fork that waits


class _Fork(threading.local):
    """The locks that the fork of this thread holds."""

    def __init__(self) -> None:
        self.holds: list[Lock] = []


_fork = _Fork()


def wait_before_fork(lock: Lock) -> None:
    """Make every fork wait for a lock: no child gets it held by a thread that it does not have."""
    _waited_for.append(lock)


def renew_after_fork(made: Forked) -> None:
    """Call `made.forked()` in every child, as long as the object exists."""
    _renewed.add(made)


def give_way(lock: Lock | None = None) -> None:
    """Let a fork go first that waits for a lock. Python's locks do not queue.

    Args:
        lock: The lock that the caller is about to take; None: any. A fork that waits for another
            one must not stop a computation that the holder of that one waits for.
    """
    while _awaited if lock is None else lock in _awaited:
        time.sleep(0.001)


def _before() -> None:
    """Take all locks, in whatever order other threads take them.

    Wait for one while none other is held, and try the rest; then wait for the one that was taken.
    """
    holds = _fork.holds = []  # each as soon as it is taken: Ctrl-C may come in between
    first = 0
    while locks := tuple(_waited_for):  # other threads may add to them before the fork is over
        _wait(locks[first])
        holds.append(locks[first])
        others = [place for place in range(len(locks)) if place != first]
        for place in others:
            if not locks[place].acquire(blocking=False):
                first = place
                break
            holds.append(locks[place])
        else:
            return
        while holds:
            holds.pop().release()


def _wait(lock: Lock) -> None:
    _awaited.append(lock)
    try:
        lock.acquire()
    finally:  # Ctrl-C ends the waiting, and not the fork
        _awaited.remove(lock)


def _after() -> None:
    while _fork.holds:
        _fork.holds.pop().release()


def _after_in_child() -> None:
    _after()
    _awaited.clear()
    for made in list(_renewed):
        made.forked()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after_in_child)
