"""The only layer of retries: which faults, how many attempts, and the waits between them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from tenacity import RetryCallState, retry_if_exception

from langgraph_cooper.nodes.errors import ModelError

ATTEMPTS = 3
FIRST_WAIT = 0.5  # seconds; doubled after each attempt, half of it drawn at random
# Seconds that an attempt needs: a mere timeout would hide the fault before it.
MIN_ATTEMPT = 0.2


def policy(time_left: Callable[[], float]) -> dict[str, Any]:
    """Return the arguments of tenacity's `Retrying` and `AsyncRetrying`.

    Args:
        time_left: Returns the seconds left for another attempt; 0 if there must be none. A wait
            that does not fit is not begun: the last fault is raised at once.
    """
    return {
        "retry": retry_if_exception(lambda error: isinstance(error, ModelError) and error.again),
        "wait": _wait,
        "stop": lambda state: (
            state.attempt_number >= ATTEMPTS or state.upcoming_sleep + MIN_ATTEMPT > time_left()
        ),
        "reraise": True,
    }


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = (error.wait if isinstance(error, ModelError) else None) or 0.0
    backoff: float = FIRST_WAIT * 2 ** (state.attempt_number - 1)
    # Jitter: agents that were refused together must not come back together.
    return max(asked, backoff / 2) + random.uniform(0, backoff / 2)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read the wait that a server asks for: `retry-after-ms`, or `Retry-After` in either form.

    Returns:
        Seconds; None if the server does not ask, or not readably.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
        return seconds if seconds >= 0 else None  # NaN gives None too
    try:
        date = parsedate_to_datetime(headers["retry-after"])
        return max(date.replace(tzinfo=date.tzinfo or UTC).timestamp() - time.time(), 0.0)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
