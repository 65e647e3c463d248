"""How simulated users differ from real ones: length, vocabulary, thanks, questions, role."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

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
    groups: dict[str, list[list[str]]] = {}
    begun: set[tuple[Problem, str]] = set()
    for row in filter(lambda each: each.whole, rows):
        said = row.texts("user")
        first = (row.problem, said[0] if said else "")
        is_new = not row.role.opening and first not in begun
        groups.setdefault(row.manner, []).append(said if is_new else said[1:])
        begun.add(first)
    if real:
        groups[PEOPLE] = [
            [each.text for each in dialogue.utterances if each.speaker == "user"]
            for dialogue in real
        ]
    spoken = {name: talks for name, talks in groups.items() if any(talks)}
    sizes = [sum(len(words(text)) for talk in talks for text in talk) for talks in spoken.values()]
    room = min([*sizes, MOST_TOKENS])
    return {name: _figures(talks, room) for name, talks in spoken.items()}


def _figures(talks: Sequence[Sequence[str]], room: int) -> dict[str, Any]:
    texts = [text for talk in talks for text in talk]
    counted = [word for text in texts for word in words(text)][:room]
    distinct = round(len(set(counted)) / len(counted), 4) if counted else None
    told = {"utterances": len(texts), "distinct": distinct, **_manner(texts)}
    return {**told, "by_part": {name: _manner(said) for name, said in _parts(talks).items()}}


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


def _parts(talks: Sequence[Sequence[str]]) -> Mapping[str, list[str]]:
    """Return the utterances in the thirds of their conversations."""
    parts: dict[str, list[str]] = {name: [] for name in PARTS}
    for talk in talks:
        for place, text in enumerate(talk):
            parts[PARTS[place * len(PARTS) // len(talk)]].append(text)
    return parts
