"""What did not happen: "my boss did not fire me" is no example of "my boss fired me".

Sentence embeddings hardly tell the two apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from langgraph_cooper.nodes.language.remembering import remembered

DENIED = re.compile(
    r"\b(?:did not|didn'?t|ha(?:s|ve|d) not|ha(?:s|ve|d)n'?t|w(?:as|ere) not|w(?:as|ere)n'?t|never)"
    r"(?: (?:actually|even|ever|just|really|yet|been|be|get|got))* (\w+)"
)
PASTS = {
    "ate": "eat", "beat": "beat", "bit": "bite", "bought": "buy", "broke": "break",
    "broken": "break", "caught": "catch", "fell": "fall", "fought": "fight", "hit": "hit",
    "hurt": "hurt", "left": "leave", "lost": "lose", "met": "meet", "paid": "pay", "quit": "quit",
    "ran": "run", "sold": "sell", "spoke": "speak", "spoken": "speak", "stole": "steal",
    "stolen": "steal", "told": "tell", "threw": "throw", "thrown": "throw", "won": "win",
    "wrote": "write", "written": "write",
}  # fmt: skip
"""Irregular pasts of verbs that tell what happened. "Got", "had" and "knew" tell too little."""
SLIGHT = frozenset(["asked", "called", "needed", "used", "wanted", "liked", "seemed", "turned"])
"""Pasts that tell too little."""


class Told(NamedTuple):
    """Verbs of a text, as stems.

    Attributes:
        happened: In the past tense.
        denied: Right behind a "did not", "was not" or "never".
    """

    happened: frozenset[str]
    denied: frozenset[str]


@remembered(20_000)
def told(text: str) -> Told:
    """Return what a text says did happen, and what did not."""
    said = " ".join(text.lower().replace("’", "'").split())
    denied = {_stem(word) for word in DENIED.findall(said)}
    rest = re.findall(r"[\w']+", DENIED.sub(" ", said))
    pasts = (word for word in rest if word in PASTS or word.endswith("ed"))
    return Told(frozenset(_stem(word) for word in pasts if word not in SLIGHT), frozenset(denied))


def denies(said: str, examples: Iterable[str]) -> bool:
    """Return whether a text denies what one of the examples tells, and none of them denies."""
    here = told(said)
    if not here.denied - here.happened:
        return False
    known = [told(example) for example in examples]
    happened = frozenset().union(*(one.happened for one in known))
    denied = frozenset().union(*(one.denied for one in known))
    return bool((here.denied - here.happened) & (happened - denied))


def _stem(word: str) -> str:
    """Return a verb without its ending: "fire" and "fired" give "fir"."""
    if word in PASTS:
        word = PASTS[word]
    for ending in ("ied", "y", "ed", "e"):
        if len(word) > len(ending) + 1 and word.endswith(ending):
            word = word.removesuffix(ending)
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word
