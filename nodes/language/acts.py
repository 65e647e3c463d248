"""Who did what to whom, as far as it can be told without a parser: "I left him", "he left me".

Sentence embeddings hardly tell the two apart.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from langgraph_cooper.nodes.language.text import words

BETWEEN = frozenset(
    [
        "just", "had", "have", "finally", "really", "also", "then", "even", "only", "always",
        "never", "once", "almost", "already", "actually", "recently", "totally", "completely",
        "did", "was", "am", "got", "then", "suddenly",
    ]
)  # fmt: skip
"""Words between "I" and a verb."""
BEHIND = frozenset(
    [
        "up", "out", "down", "off", "back", "away", "over", "with", "on", "at", "to", "for", "from",
        "by", "about", "of", "all", "both",
    ]
)  # fmt: skip
"""Words between a verb and "me"."""


class Acts(NamedTuple):
    """Verbs of a text.

    Attributes:
        done: What the speaker did ("I broke up").
        met: What was done to the speaker ("broke up with me").
    """

    done: frozenset[str]
    met: frozenset[str]


@lru_cache(maxsize=20_000)
def acts(text: str) -> Acts:
    """Return the words at the place of such verbs; some are none."""
    said = words(text)
    done = {_first(said[place + 1 :], BETWEEN) for place, word in enumerate(said) if word == "i"}
    met = {_first(said[:place][::-1], BEHIND) for place, word in enumerate(said) if word == "me"}
    return Acts(frozenset(filter(None, done)), frozenset(filter(None, met)))


def _first(said: list[str], skipped: frozenset[str]) -> str:
    return next((word for word in said if word not in skipped), "")


def are_reversed(one: str, other: str) -> bool:
    """Return whether the speaker of the one text did what the other's speaker met with."""
    mine, theirs = acts(one), acts(other)
    done = (mine.done - mine.met) & (theirs.met - theirs.done)
    met = (mine.met - mine.done) & (theirs.done - theirs.met)
    return bool(done or met)
