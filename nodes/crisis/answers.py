"""Reads the answer to a question about safety, by the patterns of `answers.toml`.

A wrong "no" would end the concern, so that only a clear one counts: it begins the answer, and
nothing in the rest takes it back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, NamedTuple, cast

from langgraph_cooper.nodes.crisis.foreign import LONGEST_ANSWER, foreign_answer
from langgraph_cooper.nodes.crisis.lexicon import answers, phrases
from langgraph_cooper.nodes.crisis.patterns import Matcher
from langgraph_cooper.nodes.crisis.phrases import denies, phrase_book
from langgraph_cooper.nodes.language.english import is_english, may_be_english
from langgraph_cooper.prompts import CrisisKind

MOST_HEDGED = 5  # words
MOST_ABOUT = 60  # characters of a request to go on that say what about
MARKS = ".!?,;:"
CLAUSE_END = re.compile(rf"(?<=[{MARKS}])\s+|\n")
# In the words of the normaliser, without doubled letters.
AND = re.compile(r"\band ")
NEGATED = re.compile(r"\b(no|not|never|nope|fine|beter)\b")
# What is denied of anybody leaves it open whether all are safe.
NO_DANGER = "not in danger "
UNREASSURING = re.compile(r"\b(not|isnt|arent|wasnt|hasnt|havent|doesnt|didnt|cant|couldnt|wont)\b")

Answer = Literal["yes", "no", "unclear"]


def answer_of(text: str) -> Answer:
    """Read the answer to a question such as "Are you thinking about ending your life?".

    A hedge ("sometimes", "I guess") is a yes if little else is said.
    """
    patterns, words = _patterns(), phrase_book().normalised(text)
    if (foreign := foreign_answer(text)) in ("yes", "no"):
        return cast(Answer, foreign)
    if _is_foreign(text):
        return "unclear"  # "no puedo más"
    if denies(text):
        words = words.removeprefix("no thanks ").removeprefix("no thank you ")
    if patterns["no"].begins(words):
        return "unclear" if any(patterns["unclear"].spans(words)) else "no"
    if "?" in text or NEGATED.search(words):
        return "unclear"
    hedges = len(words.split()) <= MOST_HEDGED and patterns["hedged"].begins(words)
    return "yes" if hedges or patterns["yes"].begins(words) else "unclear"


def says_safe(text: str, kind: CrisisKind) -> bool:
    """Return whether the user says that it is safe, as an answer to the question of a help text.

    A request to go on ("I'm safe, can we go on talking?") takes nothing back.

    Args:
        text: The answer.
        kind: The kind of crisis. "Are you safe?" is answered about oneself, "Are they safe?" and
            "Is everybody safe?" about others.
    """
    patterns, others = _patterns(), kind in ("other", "violence")
    if foreign := foreign_answer(text):
        return "?" not in text and (foreign == "yes" or (foreign == "safe" and not others))
    clauses = [_clause(part) for part in CLAUSE_END.split(text)]
    words = "".join(clause.words for clause in clauses)
    # Also clause by clause, where a pattern means the end of one: "I'm safe. He is."
    parts = {words, *(clause.words for clause in clauses)}
    unsafe = ("unsafe", "unsure_of_others" if others else "unsafe_oneself")
    if any(any(patterns[name].spans(part)) for name in unsafe for part in parts):
        return False
    if others and UNREASSURING.search(words.replace(NO_DANGER, "")):
        return False
    # "I'm safe. Just kidding."
    back = any(patterns["taken_back"].begins(clause.words) for clause in clauses[1:])
    if back or any(clause.asks for clause in clauses):
        return False
    if any(clause.cut for clause in clauses) and "safe" not in words.split():
        return False  # "Yes, can we go on?"
    if others:
        return patterns["others_alone"].begins(words) or _states("others_safe", clauses)
    if kind == "danger" and patterns["all_safe"].begins(words):
        return True
    if patterns["safe_alone"].begins(words) or any(patterns["safe"].spans(words)):
        return True
    return any(patterns["we_are_safe"].begins(clause.words) for clause in clauses)


def taken_back(text: str, *, asked: bool) -> Literal["certain", "concern"] | None:
    """Return what the user shows who takes back at once what they said of being safe, if any.

    Args:
        text: What they say.
        asked: Whether they were asked something in between: "not yet" then answers it.
    """
    words = phrase_book().normalised(text)
    if _patterns()["taken_back"].begins(words):
        return "certain"
    return "concern" if not asked and _patterns()["perhaps_taken_back"].begins(words) else None


def says_unsafe(text: str) -> bool:
    """Return whether the user says that they are not safe, and nothing else."""
    return len(text) <= LONGEST_ANSWER and _patterns()["not_safe"].begins(
        phrase_book().normalised(text)
    )


def _is_foreign(text: str) -> bool:
    words = len(text.split())
    return words > 1 and not (may_be_english(text) if words > 2 else is_english(text))


class _Clause(NamedTuple):
    """The normalised words of a clause, without a request to go on at its end."""

    words: str
    asks: bool
    """Whether it is another question."""
    cut: bool
    """Whether there was such a request."""


def _clause(text: str) -> _Clause:
    words, unsafe = phrase_book().normalised(text), _patterns()["unsafe"]
    for start, stop in _patterns()["go_on"].spans(words):
        if len(words) - stop <= MOST_ABOUT:
            about = words[stop:]
            if "safe" not in about.split() and not any(unsafe.spans(about)):
                return _Clause(words[:start], asks="?" in text.rstrip(f"{MARKS} "), cut=True)
    return _Clause(words, asks="?" in text, cut=False)


def _states(name: str, clauses: Iterable[_Clause]) -> bool:
    """Return whether a clause begins with a pattern: "I have to know they are safe" does not."""
    parts = (part for clause in clauses for part in AND.split(clause.words))
    return any(_patterns()[name].begins(part) for part in parts)


@lru_cache(maxsize=1)
def _patterns() -> dict[str, Matcher]:
    words = {**phrases().words, "oh": answers()["oh"]}
    return {name: Matcher(patterns, words) for name, patterns in answers().items()}
