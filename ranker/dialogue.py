"""The text of a dialogue as the ranker reads it: who said what, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

Speaker = Literal["user", "system"]

RECENT = 3
"""How many of the last utterances rankers compare candidates with; the evidence's shape follows."""

LAST_ROUND = 15
"""Rounds from this one on count as one, unless a ranker was trained otherwise; the tail is thin."""


class Utterance(NamedTuple):
    """All that one side said before the other side spoke again."""

    speaker: Speaker
    """`user` is the seeker or persuadee, `system` the supporter or persuader."""
    text: str


def dialogue_round(history: Sequence[Utterance]) -> int:
    """The 1-based round in which the system's next utterance falls.

    Args:
        history: the utterances so far, oldest first.

    Returns:
        1 + the number of system utterances so far.
    """
    return 1 + sum(utterance.speaker == "system" for utterance in history)


def marked(utterance: Utterance) -> str:
    """The utterance with its role mark, such as `user: I lost my job`."""
    return f"{utterance.speaker}: {utterance.text.strip()}"


def encodable(text: str) -> str:
    """The text with a question mark for what UTF-8 cannot express.

    Undecodable bytes of a terminal's input arrive as lone surrogates, which tokenisers refuse.
    """
    return text.encode("utf-8", "replace").decode("utf-8")
