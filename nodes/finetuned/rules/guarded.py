"""Nothing that the reply guard would not let through."""

from __future__ import annotations

from langgraph_cooper.nodes.crisis.phrases import denies, unsayable
from langgraph_cooper.nodes.crisis.questions import asked_about
from langgraph_cooper.nodes.finetuned.rules.situation import Situation


def would_be_refused(situation: Situation, reply: str) -> str | None:
    """Return why the guard would replace or change a reply, if it would."""
    if unsayable(reply):
        return "not to be said"
    return "asks after a denial" if denies(situation.last) and asked_about(reply) else None


def asks_about_a_crisis(situation: Situation, reply: str) -> str | None:
    """Return the kind of crisis that a reply asks about, if any.

    That question is the guard's to ask, with a help line beside it, or the bank's, in words that
    people checked.
    """
    return asked_about(reply)
