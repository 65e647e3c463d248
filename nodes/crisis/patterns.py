"""Patterns of words: words with alternatives and small gaps, found in normalised text.

`phrases.toml` in this folder explains their syntax. Each becomes a regular expression over words,
in which only gaps of bounded length repeat. Patterns are indexed by their first word: at each word
of a text only the patterns that can begin with it are tried, so that the time is linear in the
length of the text.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from langgraph_cooper.nodes.crisis.normalisation import collapsed

SHORT_GAP = 3  # largest number of words that "~" stands for
REPEATED = 5  # largest number of times that a piece with "*" is there
REMOVED = "_"  # replaces a harmless phrase; no pattern contains it
PART = re.compile(r"[()|?$*]|~\d*|<\w+>|[^\s()|?~<>$*]+")


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

    def __init__(
        self,
        pattern: str,
        words: Mapping[str, Sequence[str]],
        known: dict[str, _Piece],
        read: Callable[[str], Sequence[str]],
    ) -> None:
        self._known = known  # the lists of words that were parsed before
        self._read = read
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
            elif self._peek() == "*":
                self._next()
                piece = _Piece(f"(?:{piece.expression}){{0,{REPEATED}}}", piece.first, True)
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
            return self._named(part[1:-1])
        words = self._read(part)
        if not words:
            raise ValueError(f"the phrase {self._pattern!r} has a word without letters")
        expression = "".join(f"{re.escape(word)} " for word in words)
        return _Piece(expression, frozenset(words[:1]), False)

    def _named(self, name: str) -> _Piece:
        if name not in self._known:
            if name not in self._words:
                raise ValueError(f"the phrase {self._pattern!r} names no list of words: <{name}>")
            parsers = [
                _Parser(text, self._words, self._known, self._read) for text in self._words[name]
            ]
            self._known[name] = _alternatives([parser.parse() for parser in parsers])
        return self._known[name]


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


def without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """Replace spans, in the order of their starts, by a word that no pattern contains."""
    kept, end = [], 0
    for start, stop in spans:
        if start < end:
            continue
        kept += [text[end:start], REMOVED, " "]
        end = stop
    return "".join(kept) + text[end:]


def words_after(text: str, start: int, most: int) -> list[str]:
    """Return the next words of a normalised text, without a copy of all the rest."""
    stop = start
    for _ in range(most):
        stop = text.find(" ", stop) + 1
        if not stop:
            return text[start:].split()
    return text[start:stop].split()


def _collapsed(part: str) -> list[str]:
    return [collapsed(part)]


class Matcher:
    """Patterns, indexed by the words that they can begin with.

    Args:
        patterns: The patterns.
        words: The lists that they name.
        read: Returns the normalised words of a pattern's word.
    """

    def __init__(
        self,
        patterns: Iterable[str],
        words: Mapping[str, Sequence[str]],
        read: Callable[[str], Sequence[str]] = _collapsed,
    ) -> None:
        expressions: dict[str, list[str]] = defaultdict(list)
        known: dict[str, _Piece] = {}
        for pattern in patterns:
            piece = _Parser(pattern, words, known, read).parse()
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

    def begins(self, text: str, start: int = 0) -> bool:
        """Return whether a normalised text begins with a pattern, from a word's place on."""
        word = "".join(words_after(text, start, 1))
        return word in self._expressions and self._pattern(word).match(text, start) is not None

    def _pattern(self, word: str) -> re.Pattern[str]:
        if word not in self._compiled:
            self._compiled[word] = re.compile("|".join(self._expressions[word]))
        return self._compiled[word]
