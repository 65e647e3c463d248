"""What can go wrong in a turn, each with one sentence for the person who can mend it."""

from __future__ import annotations

from typing import Literal

from langgraph_cooper.prompts import CooperError

FaultKind = Literal[
    "configuration",
    "connection",
    "rate_limit",
    "server",
    "timeout",
    "cut",
    "refusal",
    "nonsense",
    "budget",
    "internal",
]
"""What went wrong. "configuration" is for a person to mend (a refused key, an unknown model, a
malformed request); every other kind may have passed by the next turn."""


class InputError(CooperError):
    """The caller's input cannot be answered: it is empty, too long, or of another task."""


class ModelError(CooperError):
    """The chat model cannot be set up, cannot be reached, or does not answer as one.

    Attributes:
        kind: What went wrong.
        again: Whether the same request, sent once more, may well succeed.
        wait: Seconds that the server asked to be left alone for, if it did.
        shown: Whether a person may have seen the beginning of the answer.
    """

    def __init__(
        self,
        message: str,
        kind: FaultKind = "configuration",
        *,
        again: bool = False,
        wait: float | None = None,
        shown: bool = False,
    ) -> None:
        super().__init__(message)
        self.kind: FaultKind = kind
        self.again = again
        self.wait = wait
        self.shown = shown

    @property
    def passing(self) -> bool:
        """Whether a turn may go on without what failed: nobody has to mend anything first."""
        return self.kind != "configuration"
