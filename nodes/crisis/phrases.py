"""Finds the guard's phrases in normalised text.

A pattern consists of words with alternatives and small gaps; `phrases.toml` in this folder explains
its syntax. Each becomes a regular expression over words, in which only gaps of bounded length
repeat. Patterns are indexed by their first word: at each word of a text only the patterns that can
begin with it are tried, so that the time is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from langgraph_cooper.nodes.crisis.lexicon import Phrases, phrases, spelling
from langgraph_cooper.nodes.crisis.normalisation import Normaliser, collapsed
from langgraph_cooper.nodes.language.text import sentences
from langgraph_cooper.prompts import CrisisKind

APOSTROPHES = str.maketrans("", "", "'’")
SHORT_GAP = 3  # largest number of words that "~" stands for
REMOVED = "_"  # replaces a harmless phrase; no pattern contains it
LOOK_AHEAD = 12  # words after a harmless phrase that are searched for a "but"
# Second person to first: a reply that echoes a crisis phrase is found by the same phrases.
FIRST_PERSON = {"you": "I", "your": "my", "yours": "mine", "yourself": "myself", "you're": "I'm"}
SECOND_PERSON = re.compile(r"\byou(?:rself|rs|r|'re|’re)?\b", re.IGNORECASE)
PART = re.compile(r"[()|?$]|~\d*|<\w+>|[^\s()|?~<>$]+")


class _Piece(NamedTuple):
    """A parsed piece of a pattern."""

    expression: str
    """The regular expression."""
    first: frozenset[str]
    """The words that it can begin with."""
    empty: bool
    """Whether it matches no words at all."""


class _Parser:
    """A recursive descent parser of one pattern."""

    def __init__(self, pattern: str, words: Mapping[str, Sequence[str]]) -> None:
        self._parts: list[str] = PART.findall(pattern)
        self._words = words
        self._pattern = pattern
        self._at = 0

    def parse(self) -> _Piece:
        piece = self._sequence()
        if self._at != len(self._parts) or piece.empty:
            raise ValueError(f"the phrase {self._pattern!r} cannot be read")
        return piece

    def _peek(self) -> str:
        return self._parts[self._at] if self._at < len(self._parts) else ""

    def _next(self) -> str:
        self._at += 1
        return self._parts[self._at - 1]

    def _sequence(self) -> _Piece:
        pieces = []
        while self._peek() not in ("", "|", ")"):
            piece = self._single()
            if self._peek() == "?":
                self._next()
                piece = _Piece(f"(?:{piece.expression})?", piece.first, True)
            pieces.append(piece)
        return _sequence(pieces)

    def _single(self) -> _Piece:
        part = self._next()
        if part == "(":
            choices = [self._sequence()]
            while self._peek() == "|":
                self._next()
                choices.append(self._sequence())
            if self._next() != ")":
                raise ValueError(f"the phrase {self._pattern!r} lacks a bracket")
            return _alternatives(choices)
        if part == "$":
            return _Piece(r"\Z", frozenset(), True)
        if part.startswith("~"):
            return _Piece(rf"(?:\S+ ){{0,{part[1:] or SHORT_GAP}}}?", frozenset(), True)
        if part.startswith("<"):
            return _alternatives(
                [_Parser(text, self._words).parse() for text in self._words[part[1:-1]]]
            )
        word = collapsed(part)
        return _Piece(f"{re.escape(word)} ", frozenset({word}), False)


def _sequence(pieces: Sequence[_Piece]) -> _Piece:
    first: set[str] = set()
    for piece in pieces:
        first |= piece.first
        if not piece.empty:
            break
    expression = "".join(piece.expression for piece in pieces)
    return _Piece(expression, frozenset(first), all(piece.empty for piece in pieces))


def _alternatives(choices: Sequence[_Piece]) -> _Piece:
    first = frozenset().union(*(choice.first for choice in choices))
    expression = "|".join(dict.fromkeys(choice.expression for choice in choices))
    return _Piece(f"(?:{expression})", first, any(choice.empty for choice in choices))


class Matcher:
    """Patterns, indexed by the words that they can begin with."""

    def __init__(self, patterns: Iterable[str], words: Mapping[str, Sequence[str]]) -> None:
        expressions: dict[str, list[str]] = defaultdict(list)
        for pattern in patterns:
            piece = _Parser(pattern, words).parse()
            for word in piece.first:
                expressions[word].append(piece.expression)
        self._expressions = dict(expressions)
        # Compiled when a text first contains the word: all at once would delay the first message.
        self._compiled: dict[str, re.Pattern[str]] = {}

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the spans of patterns in a normalised text whose words each end in a space."""
        start = 0
        for word in text.split():
            if word in self._expressions and (found := self._pattern(word).match(text, start)):
                yield found.span()
            start += len(word) + 1

    def begins(self, text: str) -> bool:
        """Return whether a normalised text begins with a pattern."""
        word = text.split(" ", 1)[0]
        return word in self._expressions and self._pattern(word).match(text) is not None

    def _pattern(self, word: str) -> re.Pattern[str]:
        if word not in self._compiled:
            self._compiled[word] = re.compile("|".join(self._expressions[word]))
        return self._compiled[word]


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
        self._denials = next(
            known
            for known, harmless in zip(self._harmless, data.harmless, strict=True)
            if harmless.denial
        )
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
        return any(self._counted(text, *self._denials)) and not self._finds(text)

    def unsayable(self, reply: str) -> bool:
        """Return whether a reply contains a phrase that none may contain."""
        return any(self._reply.spans(self.normalised(reply)))

    def _without_harmless(self, text: str) -> str:
        for matcher, unless in self._harmless:
            kept, end = [], 0
            for start, stop in self._counted(text, matcher, unless):
                if start < end:
                    continue
                kept += [text[end:start], REMOVED, " "]
                end = stop
            text = "".join(kept) + text[end:]
        return text

    @staticmethod
    def _counted(text: str, matcher: Matcher, unless: frozenset[str]) -> Iterator[tuple[int, int]]:
        """Yield the spans of harmless phrases after which none of the `unless` words follows."""
        for start, stop in matcher.spans(text):
            if not unless.intersection(text[stop:].split(" ", LOOK_AHEAD)[:LOOK_AHEAD]):
                yield start, stop


def _vocabulary(data: Phrases) -> set[str]:
    patterns = [p for kind in data.kinds for p in kind.patterns]
    patterns += [word for words in data.words.values() for word in words] + list(data.reply)
    return {part for p in patterns for part in PART.findall(p) if part[0].isalnum()}


@lru_cache(maxsize=1)
def phrase_book() -> PhraseBook:
    """Return the shipped phrases."""
    return PhraseBook(phrases())


@lru_cache(maxsize=1024)
def crisis_kind(text: str) -> CrisisKind | None:
    """Return the kind of crisis that a message speaks of, if any, by the shipped phrases."""
    return phrase_book().kind_of(text)


@lru_cache(maxsize=1024)
def disguised(text: str) -> bool:
    """Return whether a phrase is found only after the text was normalised."""
    return phrase_book().disguised(text)


@lru_cache(maxsize=1024)
def denies(text: str) -> bool:
    """Return whether a message plainly denies a crisis: "I never think of hurting myself"."""
    return phrase_book().denies(text)


def unsayable(reply: str) -> bool:
    """Return whether a reply urges or explains harm, or echoes a crisis phrase.

    A question is allowed: helpers are taught to ask directly about suicide.
    """
    stated = " ".join(part for part in sentences(reply) if not part.endswith("?"))
    return phrase_book().unsayable(reply) or crisis_kind(to_first_person(stated)) is not None


def to_first_person(reply: str) -> str:
    """Turn what is said about the user into the user's own words, "you" as a subject."""
    return SECOND_PERSON.sub(
        lambda found: FIRST_PERSON[found.group().lower().replace("’", "'")], reply
    )
