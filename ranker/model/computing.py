"""Computing in one thread that does not end, so that a process can fork.

MKL, under torch's matrix products, guards its buffers by a lock, which a thread also takes as it
ends; OpenMP's pools belong to the thread that began them. A child that is forked while another
thread is in there waits for ever in its first product. Turns run in short-lived threads: without
this module, one child in four hung that was forked just after a turn. One batch at a time keeps the
cores busy, too, and one thread's heap is not fragmented: in glibc each thread has its own.

OpenBLAS, under numpy's products of some thousand elements, has threads as well. It ends them before
a fork: a product that another thread has begun then turns for ever, in the parent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from langgraph_cooper.ranker.model.forking import give_way, renew_after_fork, wait_before_fork

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

T = TypeVar("T")


class _Computer:
    """The thread, begun when it is first needed."""

    def __init__(self) -> None:
        self._busy = threading.RLock()
        self._in_child = False
        self._renew()
        wait_before_fork(self._busy)
        renew_after_fork(self)

    def forked(self) -> None:
        """Begin anew, with one of the parent's cores: a server's other children use the others."""
        self._in_child = True
        self._renew()

    def run(self, work: Callable[[], T]) -> T:
        if threading.get_ident() == self._ident:
            return work()
        return self._executor.submit(self._guarded, work).result()

    def _renew(self) -> None:
        self._executor = ThreadPoolExecutor(1, "computing", self._set_up)
        self._ident = 0

    def _set_up(self) -> None:
        self._ident = threading.get_ident()
        if self._in_child:
            import torch

            torch.set_num_threads(1)  # for this thread: OpenMP counts by thread

    def _guarded(self, work: Callable[[], T]) -> T:
        give_way(self._busy)
        with self._busy:
            return work()


_computer = _Computer()


def compute(work: Callable[[], T]) -> T:
    """Run something that computes with torch in the process's one thread for that; wait for it.

    A fork waits until it is done: keep it short. Take no lock in it that others hold while they
    call this.
    """
    return _computer.run(work)


def product(left: Floats, right: Floats) -> Floats:
    """Return numpy's `left @ right`, for which a fork waits likewise."""
    found: Floats = compute(lambda: left @ right)
    return found
