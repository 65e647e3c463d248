"""The guard's settings in a task, and what it says: fixed texts and help lines (`help.toml`)."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, field_validator

HELP = Path(__file__).with_name("help.toml")

CrisisKind = Literal["suicide", "self_harm", "danger", "other", "violence"]
"""What a message speaks of: wanting to die; hurting oneself; being in danger from somebody;
somebody else who wants to die or hurts themselves; wanting to hurt somebody."""
# Strict: "yes" and 1 are no switches.
Switch = Annotated[bool, Strict()]


class Part(BaseModel):
    """A frozen part of a data file, in which a misspelt field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class GuardSettings(Part):
    """The guard of a task (`guard` in its file; `guard = true` uses these defaults).

    Attributes:
        country: ISO 3166 code of the country whose help lines are named, unless a run chooses one.
        hold: Whether a language model's words wait until the whole reply is checked.
        strict: Whether only a person can lift the guard after it fired. Otherwise it also ends when
            the user answers that they are safe.
        alone: Whether a question about safety is the whole reply: after it a word of persuasion
            would be out of place.
        rarer: How much rarer a crisis is here than among people who seek emotional support, as a
            natural logarithm (2.3: ten times). By so much the log-odds of a crisis must be higher
            before the meaning of a message is a concern. Known phrases and certain crises keep
            their thresholds.
        patient: Whether a faint concern is asked about only if another hint comes in the user's
            next three turns. Of messages whose meaning is nearer to nothing than to a certain
            crisis most are harmless, and most crises show in more than one.
    """

    country: str | None = None
    hold: Switch = True
    strict: Switch = False
    alone: Switch = False
    rarer: float = Field(default=0.0, ge=0, allow_inf_nan=False, strict=True)
    patient: Switch = False

    @field_validator("country")
    @classmethod
    def _known(cls, country: str | None) -> str | None:
        """Refuse a country without help lines: a slip of the pen would name other countries'."""
        if country is not None and not help_texts().knows(country):
            raise ValueError(
                f"{country!r} is none of the countries whose help lines are known; write one of "
                f"{', '.join(help_texts().countries)}, or leave it out, and the lines of several "
                "countries are named"
            )
        return country


class Country(Part):
    """The help lines of one country.

    Attributes:
        name: The country.
        emergency: Its emergency number.
        line: The crisis line; completes "Please ...".
        abuse: The line for people who are hurt by others, if there is one; completes the same.
        source: The publishers of the numbers.
    """

    name: str
    emergency: str
    line: str
    abuse: str | None = None
    source: str | None = None

    def line_for(self, kind: CrisisKind) -> str:
        """Return the line for a kind of crisis."""
        return self.abuse if kind == "danger" and self.abuse else self.line


class HelpTexts(Part):
    """The fixed texts, and the table of help lines.

    Attributes:
        written: The day on which the numbers were written down.
        anywhere: Values of `{line}` and `{emergency}` for an unknown country.
        countries: The help lines, by ISO 3166 code.
        first: The answer to a hit, by kind.
        later: Answers to the turns after it, used in rotation.
        ask: Questions about safety where a crisis is not certain, by kind: the first, the second.
        where: The line on where help is, after such a question.
        safe: The question after each help text, by kind; not where only a person can lift it.
        pinned: The line that stays in view afterwards.
        unsaid: The replacement of a reply that must not be given.
    """

    written: datetime.date
    anywhere: Country
    countries: Mapping[str, Country]
    first: Mapping[CrisisKind, str]
    later: tuple[str, ...] = Field(min_length=2)
    ask: Mapping[CrisisKind, tuple[str, str]]
    where: str
    safe: Mapping[CrisisKind, str]
    pinned: str
    unsaid: str

    def knows(self, country: str) -> bool:
        """Return whether the help lines of a country are known."""
        return country.upper() in self.countries

    def place(self, country: str | None) -> Country:
        """Return the help lines of a country; those of several if it is not known."""
        return self.countries.get((country or "").upper(), self.anywhere)


@lru_cache(maxsize=1)
def help_texts() -> HelpTexts:
    """Read the shipped texts and numbers."""
    return HelpTexts.model_validate(tomllib.loads(HELP.read_text(encoding="utf-8")))
