"""Nothing that the reply guard would not let through."""

from __future__ import annotations

from langgraph_cooper.nodes.crisis.phrases import asked_about, denies, unsayable
from langgraph_cooper.nodes.finetuned.rules.situation import Situation


def would_be_refused(situation: Situation, reply: str) -> str | None:
    """Return why the guard would replace or change a reply, if it would.

    A question about safety is the guard's to ask, with a help line beside it; a sampled one has
    none.
    """
    if unsayable(reply):
        return "not to be said"
    if asked_about(reply):
        return "asks again after a denial" if denies(situation.last) else "asks about a crisis"
    return None
