"""A cache of what was read in texts, bounded in bytes too: it keeps no long text."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, wraps
from typing import TypeVar

LONGEST = 256  # characters of a text that is kept itself, and not its digest
Result = TypeVar("Result")


def remembered(most: int) -> Callable[[Callable[[str], Result]], Callable[[str], Result]]:
    """Cache a function of a text as `functools.lru_cache` does, but keep no long text.

    It needs no lock, as `lru_cache` needs none: each step is one of CPython's own, and at worst
    two threads compute the same.

    Args:
        most: Number of short texts, and of long ones. The longest unused is forgotten.
    """

    def decorate(function: Callable[[str], Result]) -> Callable[[str], Result]:
        short = lru_cache(maxsize=most)(function)
        long: OrderedDict[bytes, Result] = OrderedDict()  # by the digests of the texts

        @wraps(function)
        def cached(text: str) -> Result:
            if len(text) <= LONGEST:
                return short(text)
            key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
            with suppress(KeyError):  # unknown, or forgotten by another thread just now
                long.move_to_end(key)
                return long[key]
            found = long[key] = function(text)
            if len(long) > most:
                long.popitem(last=False)
            return found

        return cached

    return decorate
