"""Reads the answer to a question about safety, by the patterns of `answers.toml`.

A wrong "no" would end the concern, so that only a clear one counts: it begins the answer, and
nothing in the rest takes it back.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from langgraph_cooper.nodes.crisis.lexicon import answers, phrases
from langgraph_cooper.nodes.crisis.phrases import Matcher, phrase_book

Answer = Literal["yes", "no", "unclear"]


def answer_of(text: str) -> Answer:
    """Read the answer to a question such as "Are you thinking about ending your life?".

    A hedge ("sometimes", "I guess") is a yes.
    """
    patterns, text = _patterns(), phrase_book().normalised(text)
    if patterns["no"].begins(text):
        return "unclear" if any(patterns["unclear"].spans(text)) else "no"
    agrees = patterns["yes"].begins(text) or patterns["hedged"].begins(text)
    return "yes" if agrees else "unclear"


def says_safe(text: str) -> bool:
    """Return whether the user says that they are safe, as an answer to "Are you safe?"."""
    patterns, text = _patterns(), phrase_book().normalised(text)
    if any(patterns["unsafe"].spans(text)):
        return False
    return patterns["yes"].begins(text) or any(patterns["safe"].spans(text))


@lru_cache(maxsize=1)
def _patterns() -> dict[str, Matcher]:
    return {name: Matcher(patterns, phrases().words) for name, patterns in answers().items()}
