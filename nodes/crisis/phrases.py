"""Finds the guard's phrases in normalised text, and not in what is harmless or denied."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from langgraph_cooper.nodes.crisis.denials import PlainDenials
from langgraph_cooper.nodes.crisis.foreign import foreign_phrase
from langgraph_cooper.nodes.crisis.lexicon import Phrases, denials, phrases, spelling
from langgraph_cooper.nodes.crisis.normalisation import Normaliser, collapsed
from langgraph_cooper.nodes.crisis.patterns import PART, Matcher, without, words_after
from langgraph_cooper.nodes.language.remembering import remembered
from langgraph_cooper.nodes.language.text import sentences
from langgraph_cooper.prompts import CrisisKind

APOSTROPHES = str.maketrans("", "", "'’")
LOOK_AHEAD = 12  # words after a harmless phrase that are searched for a "but"
# Second person to first: a reply that echoes a crisis phrase is found by the same phrases.
FIRST_PERSON = {"you": "I", "your": "my", "yours": "mine", "yourself": "myself", "you're": "I'm"}
SECOND_PERSON = re.compile(r"\byou(?:rself|rs|r|'re|’re)?\b", re.IGNORECASE)


class PhraseBook:
    """The phrases of one data file, ready to be matched.

    Args:
        data: The phrases of crises, harmless phrases, and phrases that no reply may contain.
    """

    def __init__(self, data: Phrases) -> None:
        self._kinds = [(kind.name, Matcher(kind.patterns, data.words)) for kind in data.kinds]
        self._harmless = [
            (
                Matcher(harmless.patterns, data.words),
                frozenset(collapsed(word) for word in harmless.unless),
            )
            for harmless in data.harmless
        ]
        self._denials = PlainDenials(denials(), data.words)
        self._reply = Matcher(data.reply, data.words)
        self._normaliser = Normaliser(spelling(), _vocabulary(data))

    def normalised(self, text: str) -> str:
        """Return the normalised words of a text, each followed by a space."""
        return "".join(f"{word} " for word in self._normaliser.words(text))

    def kind_of(self, text: str) -> CrisisKind | None:
        """Return the first kind of crisis, in the file's order, with a phrase in the text."""
        return self._finds(self.normalised(text))

    def disguised(self, text: str) -> bool:
        """Return whether a phrase is found only after the text was normalised: "k1ll mys3lf"."""
        letters = re.findall(r"[a-z]+", text.lower().translate(APOSTROPHES))
        as_written = "".join(f"{collapsed(word)} " for word in letters)
        return self.kind_of(text) is not None and self._finds(as_written) is None

    def _finds(self, text: str) -> CrisisKind | None:
        text = self._without_harmless(text)
        return next((name for name, matcher in self._kinds if any(matcher.spans(text))), None)

    def denies(self, text: str) -> bool:
        """Return whether a message denies a crisis, and none is found in the rest of it."""
        text = self.normalised(text)
        return any(self._denials.spans(text)) and not self._finds(text)

    def withdraws(self, text: str) -> bool:
        """Return whether a message takes a denial back: "I'm not suicidal, but I am"."""
        return self._denials.withdrawn(self.normalised(text))

    def unsayable(self, reply: str) -> bool:
        """Return whether a reply contains a phrase that none may contain."""
        return any(self._reply.spans(self.normalised(reply)))

    def _without_harmless(self, text: str) -> str:
        for matcher, unless in self._harmless:
            text = without(text, _counted(text, matcher, unless))
        return without(text, self._denials.spans(text))


def _counted(text: str, matcher: Matcher, unless: frozenset[str]) -> Iterator[tuple[int, int]]:
    """Yield the spans of harmless phrases after which none of the `unless` words follows."""
    for start, stop in matcher.spans(text):
        if not unless.intersection(words_after(text, stop, LOOK_AHEAD)):
            yield start, stop


def _vocabulary(data: Phrases) -> set[str]:
    patterns = [p for kind in data.kinds for p in kind.patterns]
    patterns += [word for words in data.words.values() for word in words] + list(data.reply)
    return {part for p in patterns for part in PART.findall(p) if part[0].isalnum()}


@lru_cache(maxsize=1)
def phrase_book() -> PhraseBook:
    """Return the shipped phrases."""
    return PhraseBook(phrases())


@remembered(1024)
def crisis_kind(text: str) -> CrisisKind | None:
    """Return the kind of crisis that a message speaks of, if any, by the shipped phrases."""
    if kind := phrase_book().kind_of(text):
        return kind
    foreign = foreign_phrase(text)
    return foreign.kind if foreign and foreign.certain else None


@remembered(1024)
def disguised(text: str) -> bool:
    """Return whether a phrase is found only after the text was normalised."""
    return phrase_book().disguised(text)


@remembered(1024)
def denies(text: str) -> bool:
    """Return whether a message plainly denies a crisis: "I never think of hurting myself"."""
    return phrase_book().denies(text)


@remembered(1024)
def withdraws(text: str) -> bool:
    """Return whether a message takes a denial back: "I'm not suicidal, but I am"."""
    return phrase_book().withdraws(text)


def unsayable(reply: str) -> bool:
    """Return whether a reply urges or explains harm, or echoes a crisis phrase.

    A question is allowed: helpers are taught to ask directly about suicide.
    """
    stated = " ".join(part for part in sentences(reply) if not part.endswith("?"))
    book = phrase_book()
    return book.unsayable(reply) or book.kind_of(to_first_person(stated)) is not None


def to_first_person(reply: str) -> str:
    """Turn what is said about the user into the user's own words, "you" as a subject."""
    return SECOND_PERSON.sub(
        lambda found: FIRST_PERSON[found.group().lower().replace("’", "'")], reply
    )
