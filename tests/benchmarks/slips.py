"""Puts slips of the keyboard into messages, as hasty people make them."""

from __future__ import annotations

import random
from collections.abc import Sequence

from langgraph_cooper.graph.training.talks import Said, Talk

FEWEST_LETTERS = 4
SEED = 3


def with_slips(talks: Sequence[Talk], share: float) -> list[Talk]:
    """Return conversations in small letters, with a slip in a share of the longer words.

    A slip is two letters swapped, one left out or one doubled; the first letter stays.
    """
    rng = random.Random(SEED)
    return [
        talk._replace(said=[Said(each.mark, _typed(each.text, share, rng)) for each in talk.said])
        for talk in talks
    ]


def _typed(text: str, share: float, rng: random.Random) -> str:
    return " ".join(_slip(word, share, rng) for word in text.lower().split())


def _slip(word: str, share: float, rng: random.Random) -> str:
    if len(word) < FEWEST_LETTERS or rng.random() > share:
        return word
    place = rng.randrange(1, len(word) - 1)
    before, here, after = word[:place], word[place], word[place + 1 :]
    match rng.randrange(3):
        case 0:
            return f"{before}{after[0]}{here}{after[1:]}"
        case 1:
            return before + after
    return f"{before}{here}{here}{after}"
