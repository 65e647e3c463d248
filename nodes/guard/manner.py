"""How a guarded conversation goes on: by the task's settings, and the run's choices."""

from __future__ import annotations

from typing import NamedTuple

from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.prompts import GuardSettings


class Manner(NamedTuple):
    """How a conversation goes on from what its messages show."""

    strict: bool
    """Whether only a person can lift a certain crisis."""
    patient: bool
    """Whether a faint concern is asked about only after another hint."""

    @classmethod
    def chosen(cls, context: CooperContext, settings: GuardSettings) -> Manner:
        """Return the manner of a run, whose choices come before the task's settings."""
        strict = settings.strict if context.strict_guard is None else context.strict_guard
        return cls(strict or context.review, settings.patient)
