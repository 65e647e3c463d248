"""What earlier turns took up first, read from the marks on their replies.

Calibrated coordination needs it. A mark stands on the message itself: a fork, a reply that was
removed and a reply that a person rewrote then count as they stand in the conversation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from langgraph_cooper.ranker.model.calibration import Choice

CHOICE = "cooper_choice"
"""Key of the mark in a reply's `response_metadata`: the aspect of the first choice, and
`expected`, the P(aspect) that coordination went by."""

MOST = 64
"""Earlier turns that count; with the memory of a calibration older ones weigh nothing."""


def with_choice(message: AIMessage, state: Mapping[str, Any]) -> AIMessage:
    """Return a reply with the mark of the turn's first choice, if coordination was calibrated."""
    expected = (state.get("cooper") or {}).get("expected")
    ranking = state.get("ranking")
    if not expected or not ranking:
        return message
    mark = {"aspect": ranking[0]["aspect"], "expected": dict(expected)}
    marks = {**message.response_metadata, CHOICE: mark}
    return message.model_copy(update={"response_metadata": marks})


def past_choices(messages: Iterable[BaseMessage]) -> list[Choice]:
    """Return what the marked replies took up, oldest first; unreadable marks are left out."""
    found = []
    for message in messages:
        if isinstance(message, AIMessage) and (mark := message.response_metadata.get(CHOICE)):
            choice = _choice(mark)
            if choice is not None:
                found.append(choice)
    return found[-MOST:]


def _choice(mark: object) -> Choice | None:
    """Read a mark; a person or another program may have edited it."""
    if not isinstance(mark, Mapping) or not isinstance(mark.get("aspect"), str):
        return None
    expected = mark.get("expected")
    if not isinstance(expected, Mapping):
        return None
    shares = {str(name): share for name, share in expected.items()}
    if not all(
        isinstance(share, int | float) and math.isfinite(share) for share in shares.values()
    ):
        return None
    return Choice(mark["aspect"], {name: float(share) for name, share in shares.items()})
