"""What a simulated user learns from: users' utterances, with role and signs of manner as guidance.

The signs are read off the data: the length of a person's utterances against the other people's, and
whether the conversation won the person over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np

from langgraph_cooper.graph.training.generator.packing import LearnedDialogue, LearnedTurn
from langgraph_cooper.nodes.finetuned.users import (
    END,
    LENGTH,
    LONG,
    LOST,
    MEDIUM,
    SHORT,
    WON,
    role_states,
    sign_lines,
    swapped,
)
from langgraph_cooper.nodes.language.text import words
from langgraph_cooper.ranker.data.dialogue import DataError, Dialogue
from langgraph_cooper.ranker.data.roles import Role

AGREES = ("agree-donation", "confirm-donation", "provide-donation-amount")
DECLINES = ("disagree-donation", "disagree-donation-more")
"""P4G's labels of persuadees' sentences that say yes, and no."""

RELIEF = 2
"""By how much of 1 to 5 a seeker's intensity of emotion falls, at least, in a conversation that
helped: the median of ESConv's training rows."""


class Terciles(NamedTuple):
    """Two lengths in words that divide people into three thirds, by their mean utterance."""

    lower: float
    upper: float

    @classmethod
    def of(cls, dialogues: Sequence[Dialogue]) -> Self:
        """Measure the users of training dialogues.

        Raises:
            DataError: No user says anything.
        """
        lengths = [length for each in dialogues if (length := mean_words(each)) is not None]
        if not lengths:
            raise DataError("no user says anything in these dialogues: there is nothing to learn")
        lower, upper = np.quantile(lengths, [1 / 3, 2 / 3])
        return cls(float(lower), float(upper))

    def sign(self, length: float) -> str:
        """Return the third that a mean length belongs to."""
        return SHORT if length <= self.lower else MEDIUM if length <= self.upper else LONG


def mean_words(dialogue: Dialogue) -> float | None:
    """Return the mean number of words of a user's utterances; None where there are none."""
    said = [len(words(each.text)) for each in dialogue.utterances if each.speaker == "user"]
    return sum(said) / len(said) if said else None


def signs_of(dialogue: Dialogue, role: Role, terciles: Terciles) -> dict[str, str]:
    """Return the signs of a person's manner; one that the data does not tell is left out."""
    signs = {LENGTH: terciles.sign(mean_words(dialogue) or 0.0)}
    if (end := _end(role)) is not None:
        signs[END] = WON if end else LOST
    return signs


def _end(role: Role) -> bool | None:
    """Return whether the conversation won the person over, if the data tells."""
    yes, no = (sum(role.reactions.get(name, 0) for name in names) for names in (AGREES, DECLINES))
    if yes or no:
        return yes > no
    begun, ended = (role.scores.get(f"{when}_emotion_intensity") for when in ("initial", "final"))
    return None if begun is None or ended is None else begun - ended >= RELIEF


def learned_users(
    dialogues: Sequence[Dialogue], roles: Mapping[str, Role], terciles: Terciles
) -> Iterator[LearnedDialogue]:
    """Yield conversations with the users' turns to learn from, the speakers swapped.

    Args:
        dialogues: Conversations.
        roles: Id -> role; a conversation without one is left out.
        terciles: Those of the training dialogues.
    """
    for dialogue in dialogues:
        role = roles.get(dialogue.id)
        places = [n for n, said in enumerate(dialogue.utterances) if said.speaker == "user"]
        if role is None or not places:
            continue
        states, topics = role_states(role.text), sign_lines(signs_of(dialogue, role, terciles))
        yield LearnedDialogue(
            utterances=tuple(swapped(dialogue.history())),
            turns=tuple(LearnedTurn(index=n, states=states, topics=topics) for n in places),
        )
