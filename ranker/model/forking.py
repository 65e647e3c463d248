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
_forks: list[int] = []  # one entry for each that waits or is under way


def wait_before_fork(lock: Lock) -> None:
    """Make every fork wait for a lock: no child gets it held by a thread that it does not have."""
    _waited_for.append(lock)


def renew_after_fork(made: Forked) -> None:
    """Call `made.forked()` in every child, as long as the object exists."""
    _renewed.add(made)


def give_way() -> None:
    """Let a fork go first that waits for a lock. Python's locks do not queue."""
    while _forks:
        time.sleep(0.001)


def _before() -> None:
    """Take all locks, in whatever order other threads take them.

    Wait for one while none other is held, and try the rest; then wait for the one that was taken.
    """
    _forks.append(1)
    first = 0
    while _waited_for:
        _waited_for[first].acquire()
        others = [place for place in range(len(_waited_for)) if place != first]
        taken = next((p for p in others if not _waited_for[p].acquire(blocking=False)), None)
        if taken is None:
            return
        for place in [first, *others[: others.index(taken)]]:
            _waited_for[place].release()
        first = taken


def _after() -> None:
    for lock in _waited_for:
        lock.release()
    _forks.pop()


def _after_in_child() -> None:
    _after()
    _forks.clear()
    for made in list(_renewed):
        made.forked()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after_in_child)
