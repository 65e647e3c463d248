"""The other side as the fine-tuned engine speaks it: roles swapped, role and manner as guidance.

A model that is trained on the users' side reads the same parts as a generator does. The speakers
change places, the role stands in the place of the states, and what tells the manner stands in the
place of the topics: signs that were read off the data in training and are chosen in use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from langgraph_cooper.nodes.finetuned.format import Budgets, Given, TopicLine
from langgraph_cooper.ranker.data.dialogue import Speaker, Utterance

Manner = Literal["cooperative", "reserved", "resistant"]
MANNERS: tuple[Manner, ...] = ("cooperative", "reserved", "resistant")

LENGTH, END = "length", "end"
SHORT, MEDIUM, LONG = "short", "medium", "long"
WON, LOST = "won", "not won"
"""A persuadee who agrees or a seeker who is relieved; one who is not."""

Signs = Mapping[str, str]
SIGNS: Mapping[Manner, Signs] = {
    "cooperative": {LENGTH: LONG, END: WON},
    "reserved": {LENGTH: SHORT, END: WON},
    "resistant": {LENGTH: MEDIUM, END: LOST},
}
"""What a manner is for a trained user."""

USER_BUDGETS = Budgets(history=512, states=96, topics=16, reply=80)
"""A role is longer than a state, and signs are shorter than topics."""

OTHER: Mapping[Speaker, Speaker] = {"user": "system", "system": "user"}


def swapped(history: Sequence[Utterance]) -> list[Utterance]:
    """Return a dialogue with the speakers in each other's place."""
    return [Utterance(OTHER[said.speaker], said.text) for said in history]


def role_states(role: str) -> dict[str, str]:
    """Return a role's text in the place of the states."""
    return {"role": role}


def sign_lines(signs: Signs) -> tuple[TopicLine, ...]:
    """Return signs in the place of the topics."""
    return tuple(TopicLine(name, sign) for name, sign in signs.items())


def user_given(history: Sequence[Utterance], role: str, manner: Manner) -> Given:
    """Return what a user's next utterance depends on."""
    return Given(swapped(history), role_states(role), sign_lines(SIGNS[manner]))
