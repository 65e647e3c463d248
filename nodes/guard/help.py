"""What the guard says: fixed texts that name help, in messages with its mark."""

from __future__ import annotations

from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.guard.manner import Manner
from langgraph_cooper.prompts import CrisisKind, GuardSettings, help_texts

MARK = "cooper_guard"
"""Key in the `additional_kwargs` of the guard's messages.

Its value is the kind of crisis, "concern" where the reply begins with a question about safety, or
"reply" where the text replaced a reply."""
CONCERN = "concern"


def help_text(kind: CrisisKind, given: int, context: CooperContext, settings: GuardSettings) -> str:
    """Return the fixed text for a kind of crisis.

    Args:
        kind: The kind of crisis.
        given: The number of texts given before in this crisis.
        context: The run's choices: its country, and whether the guard is strict.
        settings: The task's settings, with its default country.
    """
    texts = help_texts()
    place = texts.place(context.country or settings.country)
    form = texts.later[(given - 1) % len(texts.later)] if given else texts.first[kind]
    question = "" if Manner.chosen(context, settings).strict else f" {texts.safe[kind]}"
    return form.format(line=place.line_for(kind), emergency=place.emergency) + question


def pinned_text(kind: CrisisKind, country: str | None, settings: GuardSettings) -> str:
    """Return the line on help that stays in view after a crisis or a concern."""
    place = help_texts().place(country or settings.country)
    return help_texts().pinned.format(line=place.line_for(kind), emergency=place.emergency)


def help_lines(
    kind: CrisisKind | None, context: CooperContext, settings: GuardSettings
) -> tuple[str, ...]:
    """Return where help is for a kind of crisis; each line completes "Please ..."."""
    place = help_texts().place(context.country or settings.country)
    return (place.line_for(kind), f"call {place.emergency}") if kind else ()
