"""Who did what to whom, as far as it can be told without a parser: "I left him", "he left me".

Sentence embeddings hardly tell the two apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from langgraph_cooper.nodes.language.remembering import remembered
from langgraph_cooper.nodes.language.text import words

SELF = frozenset(["i", "i've", "i'd", "ive"])
BETWEEN = frozenset(
    [
        "just", "had", "have", "finally", "really", "also", "then", "even", "only", "always",
        "never", "once", "almost", "already", "actually", "recently", "totally", "completely",
        "did", "suddenly",
    ]
)  # fmt: skip
"""Words between "I" and a verb."""
PASSIVE = frozenset(["was", "am", "got", "get", "been", "being", "i'm", "im"])
"""Words between "I" and the participle of what others did."""
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
        met: What was done to the speaker ("broke up with me", "I was dumped").
    """

    done: frozenset[str]
    met: frozenset[str]


@remembered(20_000)
def acts(text: str) -> Acts:
    """Return the words where verbs are expected; some are no verbs."""
    said = words(text)
    done, met = set[str](), set[str]()
    for place, word in enumerate(said):
        joined = place > 0 and said[place - 1] == "and"  # "he and I broke up" tells nobody's deed
        if word in SELF and not joined:
            verb, passive = _verb(said[place + 1 :])
            (met if passive else done).add(verb)
        elif word in PASSIVE and word.startswith("i"):  # I'm
            met.add(_verb(said[place:])[0])
        elif word == "me":
            met.add(next((each for each in reversed(said[:place]) if each not in BEHIND), ""))
    return Acts(frozenset(done - {""}), frozenset(met - {""}))


def _verb(said: Sequence[str]) -> tuple[str, bool]:
    """Return the first verb behind "I", and whether it stands in the passive."""
    passive = False
    for word in said:
        if word in PASSIVE:
            passive = True
        elif word not in BETWEEN:
            return word, passive
    return "", passive


def are_reversed(one: str, other: str) -> bool:
    """Return whether the speaker of the one text did what the other's speaker met with."""
    mine, theirs = acts(one), acts(other)
    done = (mine.done - mine.met) & (theirs.met - theirs.done)
    met = (mine.met - mine.done) & (theirs.done - theirs.met)
    return bool(done or met)
