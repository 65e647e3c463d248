"""Tells other languages from English."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langgraph_cooper.nodes.language.loading import once
from langgraph_cooper.nodes.language.remembering import remembered
from langgraph_cooper.nodes.language.spelling import is_known
from langgraph_cooper.nodes.language.text import sentences

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier  # type: ignore[import-untyped]

CHARACTERS = 2_000  # that are looked at
FEWEST_WORDS = 3  # that tell
LEAST = 0.003
"""Probability of English below which a text counts as another language: so low that of 54,300
English messages of three words and more none does (docs/safety-measured.md)."""
KNOWN = 0.7  # share of its words from which on a text may be English
LIKELY = 0.5  # probability from which on it is likely English


def may_be_english(text: str) -> bool:
    """Return whether a text may be English, or a sentence in it is.

    Of one or two words, and where in doubt, it may be; so may what is made of English words ("e
    don do").
    """
    if not _is_latin(text):
        return False
    if _words(text) < FEWEST_WORDS or _probability(text) >= LEAST or _is_of_english_words(text):
        return True
    parts = [part for part in sentences(text[:CHARACTERS]) if _words(part) >= FEWEST_WORDS]
    return any(_probability(part) >= LIKELY or _is_of_english_words(part) for part in parts)


def is_english(text: str) -> bool:
    """Return whether a text is likely English; of one or two words, whether both are known."""
    if not _is_latin(text):
        return False
    if _words(text) < FEWEST_WORDS:
        return all(map(is_known, text.split()))
    return _probability(text) >= LIKELY


def _words(text: str) -> int:
    return len(text.split())


def _is_of_english_words(text: str) -> bool:
    words = text[:CHARACTERS].split()
    return sum(map(is_known, words)) >= KNOWN * len(words)


def _is_latin(text: str) -> bool:
    letters = sum(character.isalpha() for character in text)
    latin = sum(character.isascii() and character.isalpha() for character in text)
    return latin >= letters / 2


def _probability(text: str) -> float:
    return _read(text[:CHARACTERS])


@remembered(2_048)
def _read(text: str) -> float:
    return float(dict(_identifier().rank(text))["en"])


@once
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
