"""What a reply must not say: a function per rule, which returns the words that break it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from langgraph_cooper.nodes.finetuned.rules.guarded import asks_about_a_crisis, would_be_refused
from langgraph_cooper.nodes.finetuned.rules.inventions import (
    invents_a_name,
    invents_a_number,
    invents_a_relation,
    leaves_the_setting,
    takes_for_another,
)
from langgraph_cooper.nodes.finetuned.rules.judging import accuses
from langgraph_cooper.nodes.finetuned.rules.repeating import repeats
from langgraph_cooper.nodes.finetuned.rules.requests import (
    gives_what_was_refused,
    returns_to,
    suggests_what_was_tried,
)
from langgraph_cooper.nodes.finetuned.rules.selfhood import claims_a_life, means_a_life
from langgraph_cooper.nodes.finetuned.rules.sides import is_broken, speaks_as_the_user
from langgraph_cooper.nodes.finetuned.rules.situation import Situation, task_words

__all__ = ["BANK_RULES", "RULES", "Rule", "Situation", "broken", "task_words"]

Rule = Callable[[Situation, str], str | None]

RULES: Mapping[str, Rule] = {
    "form": is_broken,
    "life": claims_a_life,
    "side": speaks_as_the_user,
    "blame": accuses,
    "repetition": repeats,
    "relation": invents_a_relation,
    "person": takes_for_another,
    "number": invents_a_number,
    "name": invents_a_name,
    "refused": gives_what_was_refused,
    "put aside": returns_to,
    "tried": suggests_what_was_tried,
    "setting": leaves_the_setting,
    "guard": would_be_refused,
    "safety": asks_about_a_crisis,
    "meaning": means_a_life,
}
"""All rules by name, the frequent and cheap ones first."""

BANK_RULES = ("guard", "refused", "put aside", "tried")
"""Those that a prepared sentence may break, too: the others are kept by whoever writes a bank."""


def broken(
    situation: Situation, reply: str, rules: Iterable[str] = tuple(RULES)
) -> tuple[str, str] | None:
    """Return the first rule that a reply breaks, with the words that break it, if there is one."""
    for name in rules:
        if found := RULES[name](situation, reply):
            return name, found
    return None
