"""What can go wrong in a turn, each with one sentence for the person who can mend it."""

from __future__ import annotations

from langgraph_cooper.prompts import CooperError


class InputError(CooperError):
    """The caller's input cannot be answered: it is empty, too long, or of another task."""


class ModelError(CooperError):
    """The chat model cannot be set up, cannot be reached, or does not answer as one."""
