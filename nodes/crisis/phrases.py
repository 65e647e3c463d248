"""Finding the guard's phrases in folded text.

A pattern is words with alternatives and small gaps; `prompts/crisis/phrases.toml` tells how it is
written. Each becomes a regular expression over words, in which nothing is repeated but a gap of
bounded length. Patterns are kept by their first word, so that a text is gone through once and at
each word only the patterns are tried that could begin there: the time grows with the text's length.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from langgraph_cooper.nodes.crisis.normalisation import Folder, collapsed
from langgraph_cooper.nodes.language.text import sentences
from langgraph_cooper.prompts import CrisisKind, Harmless, Phrases, phrases, spelling

SHORT_GAP = 3  # words that "~" stands for at the most
TAKEN_OUT = "_"  # stands where something harmless stood; no pattern has it
AHEAD = 12  # words after a plain no that are looked at for a "but"
# Second person to first: a reply that gives a crisis phrase back is found by the same phrases.
BACK = {"you": "I", "your": "my", "yours": "mine", "yourself": "myself", "you're": "I'm"}
SECOND_PERSON = re.compile(r"\byou(?:rself|rs|r|'re|’re)?\b", re.IGNORECASE)
PART = re.compile(r"[()|?$]|~\d*|<\w+>|[^\s()|?~<>$]+")


class _Piece(NamedTuple):
    """A piece of a pattern: its expression, the words that it can begin with, may it be empty."""

    expression: str
    first: frozenset[str]
    empty: bool


class _Reader:
    """Reads one pattern."""

    def __init__(self, pattern: str, words: Mapping[str, Sequence[str]]) -> None:
        self._parts: list[str] = PART.findall(pattern)
        self._words = words
        self._pattern = pattern
        self._at = 0

    def read(self) -> _Piece:
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
        return _in_turn(pieces)

    def _single(self) -> _Piece:
        part = self._next()
        if part == "(":
            choices = [self._sequence()]
            while self._peek() == "|":
                self._next()
                choices.append(self._sequence())
            if self._next() != ")":
                raise ValueError(f"the phrase {self._pattern!r} lacks a bracket")
            return _either(choices)
        if part == "$":
            return _Piece(r"\Z", frozenset(), True)
        if part.startswith("~"):
            return _Piece(rf"(?:\S+ ){{0,{part[1:] or SHORT_GAP}}}?", frozenset(), True)
        if part.startswith("<"):
            return _either([_Reader(text, self._words).read() for text in self._words[part[1:-1]]])
        word = collapsed(part)
        return _Piece(f"{re.escape(word)} ", frozenset({word}), False)


def _in_turn(pieces: Sequence[_Piece]) -> _Piece:
    first: set[str] = set()
    for piece in pieces:
        first |= piece.first
        if not piece.empty:
            break
    expression = "".join(piece.expression for piece in pieces)
    return _Piece(expression, frozenset(first), all(piece.empty for piece in pieces))


def _either(choices: Sequence[_Piece]) -> _Piece:
    first = frozenset().union(*(choice.first for choice in choices))
    expression = "|".join(dict.fromkeys(choice.expression for choice in choices))
    return _Piece(f"(?:{expression})", first, any(choice.empty for choice in choices))


class Matcher:
    """Patterns, by the words that they can begin with."""

    def __init__(self, patterns: Iterable[str], words: Mapping[str, Sequence[str]]) -> None:
        expressions: dict[str, list[str]] = defaultdict(list)
        for pattern in patterns:
            piece = _Reader(pattern, words).read()
            for word in piece.first:
                expressions[word].append(piece.expression)
        self._expressions = dict(expressions)
        # Compiled when a text first has the word: all at once would take a good part of a second.
        self._compiled: dict[str, re.Pattern[str]] = {}

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where patterns stand in a folded text whose words each end in a space."""
        start = 0
        for word in text.split():
            if word in self._expressions and (found := self._starting(word).match(text, start)):
                yield found.span()
            start += len(word) + 1

    def _starting(self, word: str) -> re.Pattern[str]:
        if word not in self._compiled:
            self._compiled[word] = re.compile("|".join(self._expressions[word]))
        return self._compiled[word]


class PhraseBook:
    """The phrases of one data file, ready to be looked for.

    Args:
        found: The phrases, those that are harmless, and what a reply may never say.
    """

    def __init__(self, found: Phrases) -> None:
        self._kinds = [(kind.name, Matcher(kind.patterns, found.words)) for kind in found.kinds]
        self._harmless = [
            (Matcher(harmless.patterns, found.words), _unless(harmless))
            for harmless in found.harmless
        ]
        self._reply = Matcher(found.reply, found.words)
        self._folder = Folder(spelling(), _vocabulary(found))

    def folded(self, text: str) -> str:
        """The words of a text, each with a space after it."""
        return "".join(f"{word} " for word in self._folder.words(text))

    def kind_of(self, text: str) -> CrisisKind | None:
        """The first kind of crisis, in the file's order, whose phrases stand in the text."""
        folded = self._without_harmless(self.folded(text))
        return next(
            (name for name, matcher in self._kinds if any(True for _ in matcher.spans(folded))),
            None,
        )

    def unsayable(self, reply: str) -> bool:
        """Whether a reply says what none may say."""
        return any(True for _ in self._reply.spans(self.folded(reply)))

    def _without_harmless(self, folded: str) -> str:
        for matcher, unless in self._harmless:
            kept, end = [], 0
            for start, stop in matcher.spans(folded):
                if start < end or unless.intersection(folded[stop:].split(" ", AHEAD)[:AHEAD]):
                    continue
                kept += [folded[end:start], TAKEN_OUT, " "]
                end = stop
            folded = "".join(kept) + folded[end:]
        return folded


def _unless(harmless: Harmless) -> frozenset[str]:
    return frozenset(collapsed(word) for word in harmless.unless)


def _vocabulary(found: Phrases) -> set[str]:
    patterns = [p for kind in found.kinds for p in kind.patterns]
    patterns += [word for words in found.words.values() for word in words] + list(found.reply)
    return {part for p in patterns for part in PART.findall(p) if part[0].isalnum()}


@lru_cache(maxsize=1)
def phrase_book() -> PhraseBook:
    """The shipped phrases."""
    return PhraseBook(phrases())


@lru_cache(maxsize=1024)
def crisis_kind(text: str) -> CrisisKind | None:
    """What kind of crisis a message speaks of, by the shipped phrases; None where it does not."""
    return phrase_book().kind_of(text)


def unsayable(reply: str) -> bool:
    """Whether no reply may say this: it urges or explains harm, or gives a crisis phrase back.

    To ask somebody whether they think of suicide is no harm; it is what helpers are taught to do.
    """
    told = " ".join(part for part in sentences(reply) if not part.endswith("?"))
    return phrase_book().unsayable(reply) or crisis_kind(_turned(told)) is not None


def asked_about(reply: str) -> CrisisKind | None:
    """The kind of crisis that a reply asks about, if it does."""
    asked = " ".join(part for part in sentences(reply) if part.endswith("?"))
    return crisis_kind(_turned(asked)) if asked else None


def _turned(reply: str) -> str:
    return SECOND_PERSON.sub(lambda found: BACK[found.group().lower().replace("’", "'")], reply)
