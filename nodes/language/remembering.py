"""A cache of what was read in texts, bounded in bytes too: it keeps no long text."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import TypeVar

from langgraph_cooper.ranker.data.keys import key_of

Result = TypeVar("Result")


def remembered(most: int) -> Callable[[Callable[[str], Result]], Callable[[str], Result]]:
    """Cache a function of a text as `functools.lru_cache` does, but keep no long text.

    It needs no lock, as `lru_cache` needs none: each step is one of CPython's own, and at worst
    two threads compute the same.

    Args:
        most: Number of texts. The longest unused is forgotten.
    """

    def decorate(function: Callable[[str], Result]) -> Callable[[str], Result]:
        known: OrderedDict[str | bytes, Result] = OrderedDict()

        @wraps(function)
        def cached(text: str) -> Result:
            key = key_of(text)
            with suppress(KeyError):  # unknown, or forgotten by another thread just now
                known.move_to_end(key)
                return known[key]
            found = known[key] = function(text)
            if len(known) > most:
                known.popitem(last=False)
            return found

        return cached

    return decorate
