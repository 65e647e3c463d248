"""Reads the answer to a question about safety, by the patterns of `answers.toml`.

A wrong "no" would end the concern, so that only a clear one counts: it begins the answer, and
nothing in the rest takes it back.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from langgraph_cooper.nodes.crisis.lexicon import answers, phrases
from langgraph_cooper.nodes.crisis.patterns import Matcher
from langgraph_cooper.nodes.crisis.phrases import denies, phrase_book

MOST_HEDGED = 5  # words
# In the words of the normaliser, without doubled letters.
NEGATED = re.compile(r"\b(no|not|never|nope|fine|beter)\b")

Answer = Literal["yes", "no", "unclear"]


def answer_of(text: str) -> Answer:
    """Read the answer to a question such as "Are you thinking about ending your life?".

    A hedge ("sometimes", "I guess") is a yes if little else is said.
    """
    patterns, words = _patterns(), phrase_book().normalised(text)
    if denies(text):
        words = words.removeprefix("no thanks ").removeprefix("no thank you ")
    if patterns["no"].begins(words):
        return "unclear" if any(patterns["unclear"].spans(words)) else "no"
    if "?" in text or NEGATED.search(words):
        return "unclear"
    hedges = len(words.split()) <= MOST_HEDGED and patterns["hedged"].begins(words)
    return "yes" if hedges or patterns["yes"].begins(words) else "unclear"


def says_safe(text: str) -> bool:
    """Return whether the user says that they are safe, as an answer to "Are you safe?"."""
    patterns, words = _patterns(), phrase_book().normalised(text)
    if "?" in text or any(patterns["unsafe"].spans(words)):
        return False
    return patterns["safe_alone"].begins(words) or any(patterns["safe"].spans(words))


@lru_cache(maxsize=1)
def _patterns() -> dict[str, Matcher]:
    return {name: Matcher(patterns, phrases().words) for name, patterns in answers().items()}
