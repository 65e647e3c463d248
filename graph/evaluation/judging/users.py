"""How simulated users differ from real ones: length, vocabulary, thanks, questions, role."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from langgraph_cooper.graph.evaluation.interactive.rows import Conversation, Problem
from langgraph_cooper.nodes.language.text import words
from langgraph_cooper.ranker.data.dialogue import Dialogue

PEOPLE = "people"
PARTS = ("beginning", "middle", "end")
MOST_TOKENS = 5_000
"""Words that the vocabulary is counted over, at most: it grows more slowly than the text."""

THANKS = re.compile(r"\b(?:thanks?|thank you|thx|appreciate)\b", re.IGNORECASE)
OTHER_SIDE = re.compile(
    r"\b(?:as an ai|language model|assistant|how (?:can|may) i help|what can i do for you|"
    r"i(?:'m| am) here (?:to (?:help|listen|support)|for you)|i(?:'m| am) (?:so |very )?sorry to "
    r"hear|i understand how you feel|it sounds like you|have you (?:tried|considered|thought)|"
    r"would you (?:like|be willing) to (?:talk|donate|make a donation|share))\b",
    re.IGNORECASE,
)
"""What the helping or persuading side says; people of the user's side say it seldom."""


class Placed(NamedTuple):
    """An utterance of a user, and the part of the conversation that it stands in."""

    part: str
    text: str


def user_figures(
    rows: Sequence[Conversation], real: Sequence[Dialogue] = ()
) -> dict[str, dict[str, Any]]:
    """Describe users by manner, and real ones beside them.

    Args:
        rows: Conversations; those that a fault ended are left out, and so is what a role's
            `opening` gives. First words that are the same to several systems count once.
        real: Real dialogues.

    Returns:
        Manner, or "people" -> `utterances`, `words` (mean of an utterance), `distinct` (distinct
        words among as many words of each group), shares of utterances with `thanks`, a `question`
        or words of the `other_side`; `by_part`: "beginning", "middle" and "end" of a conversation
        -> `words` and the three shares there.
    """
    groups: dict[str, list[Placed]] = {}
    begun: set[tuple[Problem, str]] = set()
    for row in filter(lambda each: each.whole, rows):
        said = _placed(row.texts("user"))
        first = (row.problem, said[0].text)
        is_new = not row.role.opening and first not in begun
        groups.setdefault(row.manner, []).extend(said if is_new else said[1:])
        begun.add(first)
    for dialogue in real:
        texts = [each.text for each in dialogue.utterances if each.speaker == "user"]
        groups.setdefault(PEOPLE, []).extend(_placed(texts))
    spoken = {name: said for name, said in groups.items() if said}
    sizes = [sum(len(words(each.text)) for each in said) for said in spoken.values()]
    room = min([*sizes, MOST_TOKENS])
    return {name: _figures(said, room) for name, said in spoken.items()}


def _placed(texts: Sequence[str]) -> list[Placed]:
    """Return the utterances of a conversation with the third of it that each stands in."""
    number = len(texts)
    return [Placed(PARTS[at * len(PARTS) // number], text) for at, text in enumerate(texts)]


def _figures(said: Sequence[Placed], room: int) -> dict[str, Any]:
    counted = [word for each in said for word in words(each.text)][:room]
    distinct = round(len(set(counted)) / len(counted), 4) if counted else None
    by_part = {name: _manner([each.text for each in said if each.part == name]) for name in PARTS}
    told = {"utterances": len(said), "distinct": distinct}
    return {**told, **_manner([each.text for each in said]), "by_part": by_part}


def _manner(texts: Sequence[str]) -> dict[str, float | None]:
    """Return the mean length and the shares of some utterances; None where there are none."""
    measures: Mapping[str, Callable[[str], float]] = {
        "words": lambda text: len(words(text)),
        "thanks": lambda text: bool(THANKS.search(text)),
        "question": lambda text: "?" in text,
        "other_side": lambda text: bool(OTHER_SIDE.search(text)),
    }
    return {
        name: round(sum(map(measure, texts)) / len(texts), 4) if texts else None
        for name, measure in measures.items()
    }
