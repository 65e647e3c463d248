"""What clients are told of a fault: a sentence for its kind. The log has names and addresses."""

from __future__ import annotations

import logging

from langgraph_cooper.nodes.errors import FaultKind
from langgraph_cooper.nodes.events import Event, FaultEvent

logger = logging.getLogger(__name__)

OPERATOR = "the operator of this server has to look at its log"
AGAIN = "send the message again, with the same id"

FAULTS: dict[FaultKind, str] = {
    "configuration": "the language model refused the request",
    "connection": "the language model cannot be reached",
    "rate_limit": "the language model is asked too often",
    "server": "the language model's server failed",
    "timeout": "the language model did not answer in time",
    "cut": "the language model's answer broke off",
    "refusal": "the language model declined to answer",
    "nonsense": "the language model gave no answer that can be used",
    "budget": "the turn has no call of the language model left",
    "internal": "a step of the turn failed",
}
LASTING = ("configuration", "internal")


def sentence(kind: FaultKind) -> str:
    """Return what a client is told of a turn that failed, with the remedy."""
    return f"{FAULTS[kind]}: {OPERATOR if kind in LASTING else AGAIN}"


def for_clients(event: Event) -> Event:
    """Return an event as clients are told it; the log has the whole of a fault."""
    if not isinstance(event, FaultEvent):
        return event
    logger.warning("the %s of a turn failed: %s", event.step, event.message)
    told = FAULTS[event.kind]
    if event.kind in LASTING:
        told = f"{told}: {OPERATOR}"
    return event.model_copy(update={"message": told})
