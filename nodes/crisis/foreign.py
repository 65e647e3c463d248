"""Finds phrases of a crisis in other languages than English, which the models do not understand.

Each file of the folder `languages` has the phrases of one language; es.toml explains their form.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from langgraph_cooper.nodes.crisis.patterns import Matcher, without
from langgraph_cooper.nodes.language.english import is_english
from langgraph_cooper.nodes.language.loading import once
from langgraph_cooper.nodes.language.remembering import remembered
from langgraph_cooper.nodes.language.spelling import is_known
from langgraph_cooper.prompts import CrisisKind
from langgraph_cooper.prompts.guard import Part

FOLDER = Path(__file__).with_name("languages")
# Letters that do not decompose, and those that are typed for one another.
SPELT = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "\u0131": "i", "æ": "ae", "œ": "oe"}
    | {"\u0649": "\u064a", "\u0629": "\u0647", "\u0640": ""}  # of Arabic
)
APOSTROPHES = "'’‘ʼ`´"  # noqa: RUF001
# Marks of these classes and below spell a word (the vowels of Devanagari); others are accents.
LAST_SPELLING_CLASS, NUKTA = 9, 7
# Chinese and Japanese leave no spaces between words: each sign counts as one.
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\s\u3040-\u30ff\u3400-\u9fff]+")
# Greek, Cyrillic, Hebrew, Arabic, Devanagari, Chinese, Japanese and others, with what is between.
OTHER_SCRIPT = re.compile(
    r"[\u0370-\u1dff\u3040-\ud7ff\uf900-\ufdff](?:[^A-Za-z]*[\u0370-\u1dff\u3040-\ud7ff\uf900-\ufdff])?"
)
LONGEST_ANSWER = 100  # characters
BETWEEN = 2  # known words between and beside unknown ones, which may be of the same language
RUN = re.compile(r"(.)\1+")
CLAUSE_END = re.compile(r"[.,;:!?\u2026\n]+\s")


class LanguageKind(Part):
    """The patterns of one kind of crisis in a language."""

    name: CrisisKind
    certain: tuple[str, ...]
    """Patterns of what is plainly a crisis."""
    concern: tuple[str, ...] = ()
    """Patterns of what may be one."""


class LanguageAnswers(Part):
    """Patterns of whole answers to a question about safety."""

    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()
    safe: tuple[str, ...] = ()
    """ "I am safe"."""


class LanguagePhrases(Part):
    """The phrases of one language."""

    language: str
    words: Mapping[str, tuple[str, ...]] = {}
    kinds: tuple[LanguageKind, ...]
    harmless: tuple[str, ...] = ()
    """Removed before the search: idioms, denials, grief."""
    alone: tuple[str, ...] = ()
    """Patterns of whole messages that may be a crisis: single words, mostly."""
    answers: LanguageAnswers = LanguageAnswers()


class Foreign(NamedTuple):
    """What a phrase in another language than English shows."""

    kind: CrisisKind
    certain: bool


class LanguageBook:
    """The phrases of one language, ready to be matched.

    Args:
        data: The phrases; their kinds in order of precedence.
    """

    def __init__(self, data: LanguagePhrases) -> None:
        def matcher(patterns: Sequence[str]) -> Matcher:
            return Matcher(patterns, data.words, words_of)

        certain = [(Foreign(kind.name, True), matcher(kind.certain)) for kind in data.kinds]
        concern = [(Foreign(kind.name, False), matcher(kind.concern)) for kind in data.kinds]
        self._phrases = certain + concern
        self._alone = matcher([f"{pattern} $" for pattern in data.alone])
        self._harmless = matcher(data.harmless)
        self._answers = {
            name: matcher([f"{pattern} $" for pattern in patterns])
            for name, patterns in data.answers
        }

    def find(self, text: str) -> Foreign | None:
        """Return what the gravest phrase shows in a text whose words each end in a space."""
        alone = Foreign("suicide", certain=False) if self._alone.begins(text) else None
        text = without(text, self._harmless.spans(text))
        return next((shown for shown, matcher in self._phrases if any(matcher.spans(text))), alone)

    def answer(self, text: str) -> str | None:
        """Return "yes", "no" or "safe" if a text whose words each end in a space is such."""
        return next((name for name, whole in self._answers.items() if whole.begins(text)), None)


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, without accents and repeated letters."""
    decomposed = unicodedata.normalize("NFKD", text).casefold().translate(SPELT)
    return [RUN.sub(r"\1", word) for word in WORD.findall("".join(_letters(decomposed)))]


def _letters(text: str) -> Iterator[str]:
    for character in text:
        category = unicodedata.category(character)
        if category in ("Mn", "Me"):
            mark = unicodedata.combining(character)
            if mark <= LAST_SPELLING_CLASS and mark != NUKTA:
                yield character
        elif category[0] in "LN" or category == "Mc":
            yield character
        elif character not in APOSTROPHES and category != "Cf":
            yield " "


@once
def language_books() -> Mapping[str, LanguageBook]:
    """Return the shipped languages' phrases, by their codes."""
    return {
        file.stem: LanguageBook(read_language(file.read_text(encoding="utf-8")))
        for file in sorted(FOLDER.glob("*.toml"))
    }


def read_language(text: str) -> LanguagePhrases:
    """Read the text of one language's file."""
    return LanguagePhrases.model_validate(tomllib.loads(text))


@remembered(1024)
def foreign_phrase(text: str) -> Foreign | None:
    """Return what a phrase of a message shows in another language than English, if any does.

    Of an English message its clauses are read that are not English ("no quiero vivir, I feel bad"),
    its words that are not ("but quiero matarme and"), and what is written in another script.
    """
    parts = [text]
    if is_english(text):
        parts = [*CLAUSE_END.split(text), *_unknown_words(text), *OTHER_SCRIPT.findall(text)]
    found = [
        shown
        for part in parts
        if part.strip() and not is_english(part)
        for book in language_books().values()
        if (shown := book.find(_spaced(part)))
    ]
    return max(found, key=lambda shown: shown.certain, default=None)


def _unknown_words(text: str) -> Iterator[str]:
    """Yield each run of words that are no English ones, with known words between and beside."""
    words = text.split()
    unknown = [place for place, word in enumerate(words) if not is_known(word)]
    start = 0
    for number, place in enumerate(unknown, start=1):
        ends = number == len(unknown) or unknown[number] - place > BETWEEN + 1
        if ends:
            if number - start > 1:
                yield " ".join(words[max(0, unknown[start] - BETWEEN) : place + BETWEEN + 1])
            start = number


def foreign_answer(text: str) -> str | None:
    """Return "yes", "no" or "safe" if that is the whole answer in another language."""
    if len(text) > LONGEST_ANSWER:
        return None
    spaced = _spaced(text)
    answers = (book.answer(spaced) for book in language_books().values())
    return next((answer for answer in answers if answer), None)


def _spaced(text: str) -> str:
    return "".join(f"{word} " for word in words_of(text))
