"""A thing is loaded once, however many threads ask for it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from langgraph_cooper.nodes.language.loading import once


def test_sixteen_threads_load_once() -> None:
    begun: list[int] = []

    @once
    def load() -> object:
        begun.append(threading.get_ident())
        time.sleep(0.2)
        return object()

    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(lambda _: load(), range(16)))
    assert len(begun) == len(found) == 1


def test_a_load_that_fails_is_tried_again() -> None:
    tries = iter([OSError("the disk"), None])

    @once
    def load() -> str:
        if problem := next(tries):
            raise problem
        return "loaded"

    for expected in (OSError, None):
        try:
            assert load() == "loaded"
            assert expected is None
        except OSError:
            assert expected is OSError
