"""The guard's lexicon: crisis phrases, questions about a crisis, answers, and spellings."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from langgraph_cooper.prompts.guard import CrisisKind, Part


class Kind(Part):
    """The patterns of one kind of crisis."""

    name: CrisisKind
    patterns: tuple[str, ...]


class Harmless(Part):
    """Patterns of harmless phrases, which do not count if one of the `unless` words follows."""

    patterns: tuple[str, ...]
    unless: tuple[str, ...] = ()


class Plain(Part):
    """Patterns of plain denials ("I'm not suicidal"), and what makes one less than plain."""

    patterns: tuple[str, ...]
    unless: tuple[str, ...]
    """Words that take it back when they are among the next twelve."""
    limits: tuple[str, ...]
    """Patterns that limit it when they follow at once."""
    led: tuple[str, ...]
    """Patterns that make it another thing when they go before it."""
    withdrawn: tuple[str, ...]
    """Patterns of denials that are taken back, and worrying by that."""


class Denials(Part):
    """Denials of a crisis."""

    words: Mapping[str, tuple[str, ...]]
    plain: Plain


class Phrases(Part):
    """The guard's patterns; `kinds` are in order of precedence."""

    written: datetime.date
    version: int
    words: Mapping[str, tuple[str, ...]]
    kinds: tuple[Kind, ...]
    harmless: tuple[Harmless, ...]
    reply: tuple[str, ...]


class Asked(Part):
    """Patterns of questions about one kind of crisis, unless one of others follows."""

    kind: CrisisKind
    patterns: tuple[str, ...]
    unless: tuple[str, ...] = ()
    others: bool = False
    """Whether they are about somebody else, and thus not about the user."""


class Safety(Part):
    """Patterns of questions to which a no is the worrying answer, unless one of others follows."""

    patterns: tuple[str, ...]
    unless: tuple[str, ...]


class Questions(Part):
    """Questions about a crisis whose answer alone, in the user's words, has no phrase."""

    words: Mapping[str, tuple[str, ...]]
    asked: tuple[Asked, ...]
    safety: Safety


class Spelling(Part):
    """Spellings, misspellings and disguises of words."""

    keys: tuple[str, ...]
    distinct: frozenset[str]
    starred: tuple[str, ...]
    joined: tuple[str, ...]
    words: Mapping[str, str]
    pairs: Mapping[str, str]


@lru_cache(maxsize=1)
def phrases() -> Phrases:
    """Read the shipped phrases."""
    fields = _read("phrases.toml")
    return Phrases.model_validate({**fields, "reply": fields["reply"]["patterns"]})


@lru_cache(maxsize=1)
def spelling() -> Spelling:
    """Read the shipped spellings."""
    return Spelling.model_validate(_read("spelling.toml"))


@lru_cache(maxsize=1)
def denials() -> Denials:
    """Read the shipped patterns of denials."""
    return Denials.model_validate(_read("denials.toml"))


@lru_cache(maxsize=1)
def questions() -> Questions:
    """Read the shipped patterns of questions about a crisis."""
    return Questions.model_validate(_read("questions.toml"))


@lru_cache(maxsize=1)
def answers() -> dict[str, list[str]]:
    """Read the shipped patterns of answers to a question about safety."""
    return _read("answers.toml")


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))
