"""The errors of a turn; each message is one sentence that names the fault and a remedy."""

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
"""The kind of a fault. A person must mend "configuration" (a refused key or one without credit, an
unknown model, a malformed request); every other kind may pass by itself before the next turn."""


class InputError(CooperError):
    """The caller's input cannot be answered: it is empty, too long, or belongs to another task."""


class ModelError(CooperError):
    """The chat model cannot be set up, cannot be reached, or does not answer as one.

    Attributes:
        kind: The kind of fault.
        again: Whether a retry of the same request is likely to succeed.
        wait: Seconds that the server asked to wait before a retry, if any.
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
        """Whether the fault is transient."""
        return self.kind != "configuration"
