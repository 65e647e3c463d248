"""Works on many items, several at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def in_parallel(
    items: Iterable[T], work: Callable[[T], Awaitable[None]], at_once: int
) -> None:
    """Work on items in their order, `at_once` of them at a time; the first error ends it.

    Raises:
        Exception: The first error of `work`. What it had left unfinished is cancelled.
    """
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:  # shared: each worker takes the next one
            await work(item)

    workers = [asyncio.ensure_future(worker()) for _ in range(at_once)]
    try:
        await asyncio.gather(*workers)
    finally:
        for each in workers:
            each.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
