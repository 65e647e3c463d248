"""Reads which crisis a reply of the system asks about: a yes to such a question is a crisis."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from langgraph_cooper.nodes.crisis.lexicon import phrases, questions
from langgraph_cooper.nodes.crisis.patterns import Matcher, words_after
from langgraph_cooper.nodes.crisis.phrases import crisis_kind, phrase_book, to_first_person
from langgraph_cooper.nodes.language.remembering import remembered
from langgraph_cooper.nodes.language.text import sentences
from langgraph_cooper.prompts import CrisisKind

LOOK_AHEAD = 12  # words after a pattern that are searched for one of its `unless`
# A question about somebody else does not speak of the user.
USER = re.compile(r"\b(?:you|youre|youd|youve|yourself)\b")
OTHERS_PAST = re.compile(
    r"\W*(?:(?:and|so|oh|how|when|why),? )*(?:did|was|were|had) (?!you\b)", re.IGNORECASE
)


def asked_about(reply: str) -> CrisisKind | None:
    """Return the kind of crisis that a reply asks about, if any."""
    found = (_kind(part) for part in sentences(reply) if part.endswith("?"))
    return next((kind for kind in found if kind), None)


def asks_of_the_past(reply: str) -> bool:
    """Return whether all that a reply asks about a crisis is what somebody else did long ago.

    "Did your uncle kill himself?" A yes tells of grief, and not of a crisis.
    """
    asked = [part for part in sentences(reply) if part.endswith("?") and _kind(part)]
    return bool(asked) and all(
        OTHERS_PAST.match(part) and _kind(part) in ("suicide", "self_harm", "other")
        for part in asked
    )


def asks_if_safe(reply: str) -> bool:
    """Return whether a reply asks if somebody is safe, so that a no is the worrying answer."""
    asked = [part for part in sentences(reply) if part.endswith("?")]
    return any(_safety().within(phrase_book().normalised(part)) for part in asked)


class _Question(NamedTuple):
    """The patterns of one kind of question."""

    matcher: Matcher
    unless: Matcher
    others: bool = False

    def within(self, text: str) -> bool:
        """Return whether a normalised question has a pattern that nothing makes another."""
        return any(
            not any(self.unless.spans(_next_words(text, stop)))
            and not (self.others and USER.search(text[start:stop]))
            for start, stop in self.matcher.spans(text)
        )


@remembered(1024)
def _kind(question: str) -> CrisisKind | None:
    """Return the kind of crisis that one question asks about, somebody else's first.

    What users would say of themselves ("I want to die") is asked about in the same words. In a
    question about what others do to them ("Did he hit you?") "you" is no subject.
    """
    text = phrase_book().normalised(question)
    kinds = [(kind, each) for kind, each in _questions() if each.within(text)]
    if others := next((kind for kind, each in kinds if each.others), None):
        return others
    return crisis_kind(to_first_person(question)) or next((kind for kind, _ in kinds), None)


def _next_words(text: str, start: int) -> str:
    return "".join(f"{word} " for word in words_after(text, start, LOOK_AHEAD))


@lru_cache(maxsize=1)
def _questions() -> Sequence[tuple[CrisisKind, _Question]]:
    words = {**phrases().words, **questions().words}
    return [
        (
            each.kind,
            _Question(Matcher(each.patterns, words), Matcher(each.unless, words), each.others),
        )
        for each in questions().asked
    ]


@lru_cache(maxsize=1)
def _safety() -> _Question:
    words, safety = {**phrases().words, **questions().words}, questions().safety
    return _Question(Matcher(safety.patterns, words), Matcher(safety.unless, words))
