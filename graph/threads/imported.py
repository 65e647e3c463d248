"""Bounds a conversation that a client brings along: the guard reads all of it in the next turn."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import BaseMessage

from langgraph_cooper.nodes.language.history import MAX_CHARACTERS, text_of, too_long

MAX_MESSAGES = 200
MAX_TOTAL = 100_000
"""Characters of an imported conversation: a few hundred windows of the guard's classifier."""


def last_messages(history: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return the end of a conversation that was held elsewhere, its long messages cut.

    No check of a single message sees such a history, and the guard has no deadline. Without a
    bound one request could keep it reading for minutes.
    """
    kept: list[BaseMessage] = []
    room = MAX_TOTAL
    for message in reversed(history[-MAX_MESSAGES:]):
        short = _cut(message)
        room -= len(text_of(short))
        if room < 0:
            break
        kept.append(short)
    return kept[::-1]


def _cut(message: BaseMessage) -> BaseMessage:
    text = text_of(message)
    if not too_long(text):
        return message
    return message.model_copy(update={"content": text[:MAX_CHARACTERS]})
