"""Finds the amounts of money in a message: "$5", "two dollars", "50 cents", "I can do 80"."""

from __future__ import annotations

import re
from dataclasses import dataclass

SMALL = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
]  # fmt: skip
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
VALUES = {
    **{word: float(value) for value, word in enumerate(SMALL)},
    **{word: 10.0 * value for value, word in enumerate(TENS, start=2)},
    "a hundred": 100.0, "one hundred": 100.0, "hundred": 100.0, "a thousand": 1000.0,
    "a dollar": 1.0, "a buck": 1.0, "a fiver": 5.0, "a tenner": 10.0, "a quarter": 0.25,
    "a dime": 0.1,
}  # fmt: skip
_UNITS = r"(?:\s*(?:cents?|¢|dollars?|bucks?|euros?|pounds?|quid|usd|eur|gbp|[$€£]))?"
_WORDS = "|".join(sorted(map(re.escape, VALUES), key=len, reverse=True))
_TENS = "|".join(TENS)
# "-$5" and "minus five" are no offers; "$5-$10" holds two.
_NOT_NEGATIVE = (
    r"(?<!\s[-\u2212])(?<!\A[-\u2212])(?<!\s[-\u2212][$€£])(?<!\A[-\u2212][$€£])(?<!minus\s)"
)
_AMOUNT = re.compile(
    rf"(?<![\w.]){_NOT_NEGATIVE}(?:[$€£]\s*)?(?:(?P<digits>\d[\d,]*(?:\.\d+)?)(?!\d|\s*(?:%|percent))"
    rf"|(?P<ten>{_TENS})[\s-](?P<one>{'|'.join(SMALL[1:10])})|(?P<word>{_WORDS})){_UNITS}"
    r"(?![\w%])",
    re.IGNORECASE,
)
_TOLD = re.compile(
    r"\b(?:pays|paid|earns?|earned|earning|costs?|owes?|owed|spent|makes|made|charges?|charged)"
    r"(?:\s+(?:me|us|you|him|her|them|out|about|around|only|just|like|maybe|roughly|over|under))*"
    r"\s*$",
    re.IGNORECASE,
)
"""Before an amount that is told of something, and not offered: "the task pays 2.00"."""
_DENIED = re.compile(
    r"(?:(?<!why )\bnot|\b(?:can['’]?t|cannot|can not|couldn['’]?t|won['’]?t|don['’]?t)"
    r"(?:\s+(?:to|do|give|afford|spare|pay|donate|offer|go|manage|promise|have|want))+)"
    r"(?:\s+(?:you|them|even|as much as|the full|all))*\s*$",
    re.IGNORECASE,
)
"""Before an amount that is too much: "not $5, only $1", "I can't do twenty, but ten"."""
_BARE = {*SMALL, *TENS, *(f"{ten} {one}" for ten in TENS for one in SMALL[1:10])}
_CENTS = re.compile(r"cents?$|¢$", re.IGNORECASE)


@dataclass(frozen=True)
class Amount:
    """An amount.

    Attributes:
        text: In the user's words.
        value: As a number.
        told: Whether it is what something pays or costs, or what is too much, and thus no offer.
    """

    text: str
    value: float
    told: bool = False

    @property
    def clear(self) -> bool:
        """Whether it is more than a bare number word, as in "no one" or "the two of us"."""
        return self.text.casefold().replace("-", " ") not in _BARE

    def within(self, bounds: tuple[float, float]) -> bool:
        """Return whether it lies between two bounds, both included."""
        return bounds[0] <= self.value <= bounds[1]


def amounts(text: str) -> list[Amount]:
    """Return the amounts in a text, in order; cents count as fractions."""
    return [_amount(found) for found in _AMOUNT.finditer(text)]


def _amount(found: re.Match[str]) -> Amount:
    text = found[0].strip().rstrip(",")
    if found["digits"]:
        value = float(found["digits"].replace(",", ""))
    elif found["ten"]:
        value = VALUES[found["ten"].lower()] + VALUES[found["one"].lower()]
    else:
        value = VALUES[found["word"].lower()]
    start, end = max(0, found.start() - 60), found.start()
    told = bool(_TOLD.search(found.string, start, end) or _DENIED.search(found.string, start, end))
    return Amount(text, value / 100 if _CENTS.search(text) else value, told)
