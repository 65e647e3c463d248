"""Corrects slips of the keyboard, which a sentence encoder cannot read: "wnat", "tomorow"."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from functools import lru_cache, partial
from string import ascii_lowercase
from typing import TYPE_CHECKING

from langgraph_cooper.nodes.language.loading import once

if TYPE_CHECKING:
    from spellchecker import SpellChecker

WORD = re.compile(r"(?<!\w)[A-Za-z]+(?:['’][A-Za-z]+)*(?!\w)")
SIGNS = ".,;:!?\u2026'\"()[]*~-\u2013\u2014\u2019\u201c\u201d"
FEWEST_LETTERS = 4  # of shorter words nearly all have neighbours that mean something else
MOST_LETTERS = 16
# Occurrences, in the dictionary's corpus, of a word that a slip may stand for; of a short one.
COMMON, VERY_COMMON = 1_000, 100_000
REMEMBERED = 16_384  # words
# Newer than the dictionary, or left out of it.
CHAT = frozenset((
    "aight", "arse", "bestie", "besties", "bruh", "covid", "cutted", "defo", "doxed", "finna",
    "haha", "hahaha", "heya", "imma", "incel", "incels", "insta", "lockdown", "minging", "obvs",
    "podcast", "podcasts", "prob", "probs", "selfie", "selfies", "sexted", "sexting", "smth",
    "texting", "tiktok", "tryna", "unalive", "unalived", "unaliving", "vape", "vaped", "vapes",
    "vaping", "whatsapp", "wifi", "yeet", "yeeted",
))  # fmt: skip


def corrected(text: str, known: Container[str] = frozenset()) -> str:
    """Return an English text with each misspelt word replaced by the commonest one that is near.

    Near are first words with two adjacent letters swapped, since all letters are there; else those
    with one letter lost, added or changed, but the first. Words with a capital may be names, and
    stay; so do contractions without an apostrophe ("cant").

    Args:
        text: The text.
        known: Further words that are none to correct, in small letters.
    """
    return WORD.sub(partial(_replaced, known), text)


def is_known(word: str) -> bool:
    """Return whether a word, with or without signs around it, is an English one."""
    letters = word.lower().strip(SIGNS).replace("’", "'")
    known = (_dictionary().word_frequency, _contractions(), CHAT)
    return not letters or any(letters in words for words in known)


def one_edit(word: str) -> Iterator[str]:
    """Yield all words one edit away: a letter lost, added or changed, or two swapped."""
    for i in range(len(word) + 1):
        before, after = word[:i], word[i:]
        yield from (before + letter + after for letter in ascii_lowercase)
        if after:
            yield before + after[1:]
            yield from (before + letter + after[1:] for letter in ascii_lowercase)
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]


def _replaced(known: Container[str], found: re.Match[str]) -> str:
    word = found[0]
    may_be_name = word[0].isupper() and not word.isupper()
    return word if may_be_name or word.lower() in known else _nearest(word)


@lru_cache(maxsize=REMEMBERED)
def _nearest(word: str) -> str:
    letters = word.lower()
    if len(letters) > MOST_LETTERS or not letters.isalpha() or is_known(letters):
        return word
    least = VERY_COMMON if len(letters) < FEWEST_LETTERS else COMMON
    if swapped := [other for other in _swapped(letters) if _frequency(other) >= least]:
        return max(swapped, key=_frequency)
    if len(letters) < FEWEST_LETTERS:
        return word
    if letters.endswith("in") and is_known(f"{letters}g"):  # "sayin"
        return f"{letters}g"
    near = (letters[0] + rest for rest in one_edit(letters[1:]))
    best = max(near, key=lambda other: (_frequency(other), other))
    return best if _frequency(best) >= COMMON else word


def _swapped(letters: str) -> Iterator[str]:
    """Yield the words with two adjacent letters swapped."""
    for place in range(1, len(letters)):
        before, after = letters[: place - 1], letters[place + 1 :]
        yield before + letters[place] + letters[place - 1] + after


def _frequency(word: str) -> int:
    """Return how often a word occurs in the dictionary's corpus, 0 if it is no word."""
    return _dictionary().word_frequency[_contractions().get(word, word)]


@once
def _dictionary() -> SpellChecker:
    from spellchecker import SpellChecker

    return SpellChecker(language="en", distance=1)


@once
def _contractions() -> Mapping[str, str]:
    """Return the contractions by their letters, as people type them: "dont" for "don't"."""
    known = _dictionary().word_frequency.dictionary
    return {word.replace("'", ""): word for word in known if "'" in word}
