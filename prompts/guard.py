"""The guard's data: phrases, spellings, help lines and fixed texts (the folder `crisis`)."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SAFETY = Path(__file__).parent / "crisis"

CrisisKind = Literal["suicide", "self_harm", "danger", "other", "violence"]
"""What a message speaks of: wanting to die; hurting oneself; being in danger from somebody;
somebody else who wants to die or hurts themselves; wanting to hurt somebody."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GuardSettings(_Data):
    """How a task is guarded (`guard` in its file; `guard = true` takes these defaults).

    Attributes:
        country: ISO 3166 code of the country whose help lines are named unless a run says which.
        hold: Words of a language model reach the person only once the whole reply was checked.
    """

    country: str | None = Field(default=None, pattern=r"^[A-Za-z]{2}$")
    hold: bool = True


class Kind(_Data):
    """The patterns of one kind of crisis."""

    name: CrisisKind
    patterns: tuple[str, ...]


class Harmless(_Data):
    """Patterns of what is harmless, unless one of some words follows."""

    patterns: tuple[str, ...]
    unless: tuple[str, ...] = ()


class Phrases(_Data):
    """What the guard reads for, in the order in which kinds go before one another."""

    written: datetime.date
    version: int
    words: Mapping[str, tuple[str, ...]]
    kinds: tuple[Kind, ...]
    harmless: tuple[Harmless, ...]
    reply: tuple[str, ...]


class Spelling(_Data):
    """How words are spelt, misspelt and hidden."""

    keys: tuple[str, ...]
    distinct: frozenset[str]
    starred: tuple[str, ...]
    joined: tuple[str, ...]
    words: Mapping[str, str]
    pairs: Mapping[str, str]


class Country(_Data):
    """Where to find help in one country.

    Attributes:
        name: The country.
        emergency: Its emergency number.
        line: The crisis line; completes "Please ...".
        abuse: The line for people who are hurt by others, where there is one; completes the same.
        source: By name, who publishes the numbers.
    """

    name: str
    emergency: str
    line: str
    abuse: str | None = None
    source: str | None = None


class HelpTexts(_Data):
    """The fixed texts, and the table of help lines.

    Attributes:
        checked: When the numbers were last looked at.
        anywhere: What stands for `{line}` and `{emergency}` where the country is not known.
        first: By kind, the text that a hit is answered with.
        later: Texts for the turns after it, said in turn.
        unsaid: What is said in place of a reply that none may give.
    """

    written: datetime.date
    anywhere: Country
    countries: Mapping[str, Country]
    first: Mapping[CrisisKind, str]
    later: tuple[str, ...] = Field(min_length=2)
    unsaid: str

    def place(self, country: str | None) -> Country:
        """Where help is found in a country; several lines where it is not known."""
        return self.countries.get((country or "").upper(), self.anywhere)


def _read(name: str) -> dict[str, object]:
    return tomllib.loads((SAFETY / name).read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def phrases() -> Phrases:
    """The shipped phrases."""
    fields = _read("phrases.toml")
    reply = fields.pop("reply")
    assert isinstance(reply, dict)
    return Phrases.model_validate({**fields, "reply": reply["patterns"]})


@lru_cache(maxsize=1)
def spelling() -> Spelling:
    """The shipped spellings."""
    return Spelling.model_validate(_read("spelling.toml"))


@lru_cache(maxsize=1)
def help_texts() -> HelpTexts:
    """The shipped texts and numbers."""
    return HelpTexts.model_validate(_read("help.toml"))
