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
        rows: Conversations; what a role's `opening` gives is left out, and first words that are
            the same to several systems count once.
        real: Real dialogues.

    Returns:
        Manner, or "people" -> `utterances`, `words` (mean of an utterance), `by_part` (the same by
        thirds of a conversation), `distinct` (distinct words among as many words of each group),
        shares of utterances with `thanks`, a `question` or words of the `other_side`.
    """
    groups: dict[str, list[list[str]]] = {}
    begun: set[tuple[Problem, str]] = set()
    for row in rows:
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
    tokens = [word for text in texts for word in words(text)]
    counted = tokens[:room]
    return {
        "utterances": len(texts),
        "words": round(len(tokens) / len(texts), 2),
        "by_part": _by_part(talks),
        "distinct": round(len(set(counted)) / len(counted), 4) if counted else None,
        "thanks": _share(texts, THANKS.search),
        "question": _share(texts, lambda text: "?" in text),
        "other_side": _share(texts, OTHER_SIDE.search),
    }


def _by_part(talks: Sequence[Sequence[str]]) -> Mapping[str, float | None]:
    parts: dict[str, list[int]] = {name: [] for name in PARTS}
    for talk in talks:
        for place, text in enumerate(talk):
            parts[PARTS[place * len(PARTS) // len(talk)]].append(len(words(text)))
    return {name: round(sum(v) / len(v), 2) if v else None for name, v in parts.items()}


def _share(texts: Sequence[str], holds: Callable[[str], object]) -> float:
    return round(sum(bool(holds(text)) for text in texts) / len(texts), 4)
