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
SCALES = {
    "hundred": 100.0, "thousand": 1e3, "grand": 1e3, "k": 1e3, "million": 1e6, "mil": 1e6, "m": 1e6,
}  # fmt: skip
# Nobody means money by "two grandchildren" or "two grand pianos".
_SCALE = r"\s*(?:hundred|thousand|grand(?!\s+piano)|million|mil)s?(?!\w)"
_LETTER = r"(?:\s?k|m)(?!\w)"
_GAP = "[ \u00a0\u202f]"
# Three digits after a point are thousands of euros, or in a sum of two such groups. A space joins
# "80 100" only where the rest shows one sum.
_DIGITS = (
    rf"(?:(?P<points>[1-9]\d{{0,2}}(?:(?:\.\d{{3}}){{2,}}(?:,\d{{1,2}})?"
    rf"|(?:(?<=€\d)|(?<=€\d\d)|(?<=€\d\d\d)|(?<=€\s\d)|(?<=€\s\d\d)|(?<=€\s\d\d\d))\.\d{{3}}(?:,\d{{1,2}})?"
    rf"|\.\d{{3}}(?:,\d{{1,2}})?(?=\s*(?:€|euros?\b|eur\b)))(?!{_SCALE}|{_LETTER}))"
    rf"|(?P<gaps>(?<!\d{_GAP})[1-9]\d{{0,2}}(?:{_GAP}\d{{3}})*{_GAP}(?:000|\d{{3}}(?=\s*[$€£]"
    rf"|\s+(?:dollars?|bucks?|euros?|pounds?|usd|eur|gbp|(?:a|per)\s+(?:year|month))))(?!{_GAP}\d))"
    r"|(?P<commas>\d+(?:,\d{2,3})*,\d{3}(?:\.\d+)?)"
    r"|(?P<plain>\d+(?:\.\d+|,\d{1,2})?))(?!\d|[.,:]\d|\s*(?:%|percent))"
)
# "-$5" and "minus five" are no offers; "$5-$10" holds two.
_NOT_NEGATIVE = (
    r"(?<!\s[-\u2212])(?<!\A[-\u2212])(?<!\s[-\u2212][$€£])(?<!\A[-\u2212][$€£])(?<!minus\s)"
)
_AMOUNT = re.compile(
    rf"(?<![\w.])(?<!\d[,:]){_NOT_NEGATIVE}(?:[$€£]\s*)?(?:{_DIGITS}"
    rf"|(?P<ten>{_TENS})[\s-](?P<one>{'|'.join(SMALL[1:10])})|(?P<word>{_WORDS}))"
    rf"(?P<scale>(?:{_SCALE})*)(?P<letter>{_LETTER})?{_UNITS}(?![\w%])",
    re.IGNORECASE,
)
_CURRENCY = re.compile(
    r"[$€£¢]|(?:dollars?|bucks?|euros?|pounds?|quid|usd|eur|gbp)$", re.IGNORECASE
)
_MONEY = (
    r"\b(?:earn\w*|makes?|making|made|pa(?:y|ys|id|ying)|offer\w*|salar(?:y|ies)|incomes?|wages?|"
    r"bonus|loans?|debts?|raise|rent|mortgage|budget|prices?|worth|costs?|ow(?:e|es|ed|ing)|"
    r"spen[dt]s?|spending|sav(?:e|ed|ings)|donat\w*|g[ai]ve|charg\w*|sell|sold|bids?)\b"
)
_OF_MONEY_BEFORE = re.compile(rf"{_MONEY}[^.!?;]*$", re.IGNORECASE)
_OF_MONEY_AFTER = re.compile(
    rf"(?:\s*[-\u2013]\s*[$€£]?\d\S*)?\s*(?:{_MONEY}|(?:a|per|each)\s+(?:year|month|annum)\b)",
    re.IGNORECASE,
)
_OF_NO_MONEY = re.compile(
    r"\s*(?:of|runs?|races?|walks?|marathons?|runners?|steps?|followers?|subscribers?|views?|likes|"
    r"words?|people|users?|miles?|tvs?|monitors?|screens?|videos?|resolution|times|tall|high|long|"
    r"wide|deep|away)\b",
    re.IGNORECASE,
)
"""After "10k" or "2m" that counts something else."""
_COVERED = re.compile(
    r"\b(?:ran|run|runs|running|walk\w*|jog\w*|hik\w*|swam|swim|swimming|did|does|doing|done|"
    r"finish\w*|train\w*)(?:\s+(?:a|an|the|my|about|almost|another|first|last|over))*\s*$",
    re.IGNORECASE,
)
"""Before a distance: "I ran 10k"."""
_NAMED = re.compile(r"\b(?:an?|the|my|this|that|first|last|next|another)\s+$", re.IGNORECASE)
"""Before "10k" that may be a race: "my first 5k"."""
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
        told: Whether it is what something pays or costs, and thus no offer.
        denied: Whether it is too much for the user, and thus no offer.
    """

    text: str
    value: float
    told: bool = False
    denied: bool = False

    @property
    def offered(self) -> bool:
        """Whether it may be an offer."""
        return not (self.told or self.denied)

    @property
    def clear(self) -> bool:
        """Whether it is more than a bare number word, as in "no one" or "the two of us"."""
        return self.text.casefold().replace("-", " ") not in _BARE

    def within(self, bounds: tuple[float, float]) -> bool:
        """Return whether it lies between two bounds, both included."""
        return bounds[0] <= self.value <= bounds[1]


def amounts(text: str) -> list[Amount]:
    """Return the amounts in a text, in order; cents count as fractions."""
    return [_amount(found) for found in _AMOUNT.finditer(text) if _is_money(found)]


def _is_money(found: re.Match[str]) -> bool:
    """Return whether "62k" or "2m" is a sum rather than a race, a length or a screen."""
    if not found["letter"] or _CURRENCY.search(found[0]):
        return True
    text, start, end = found.string, found.start(), found.end()
    before = max(0, start - 60), start
    if _OF_NO_MONEY.match(text, end) or _COVERED.search(text, *before):
        return False
    if _OF_MONEY_BEFORE.search(text, *before) or _OF_MONEY_AFTER.match(text, end):
        return True
    return found["letter"].strip() in "kK" and not _NAMED.search(text, *before)


def _amount(found: re.Match[str]) -> Amount:
    text, value = found[0].strip(), _number(found)
    for scale in re.findall(r"[a-z]+", f"{found['scale']} {found['letter'] or ''}".lower()):
        value *= SCALES[scale.removesuffix("s")]
    start, end = max(0, found.start() - 60), found.start()
    told, denied = (bool(way.search(found.string, start, end)) for way in (_TOLD, _DENIED))
    return Amount(text, value / 100 if _CENTS.search(text) else value, told, denied)


def _number(found: re.Match[str]) -> float:
    """Return the value before "thousand" or "k"."""
    if found["points"]:
        return float(found["points"].replace(".", "").replace(",", "."))
    if digits := found["gaps"] or found["commas"]:
        return float(re.sub(r"[\s,]", "", digits))
    if found["plain"]:
        return float(found["plain"].replace(",", "."))
    if found["ten"]:
        return VALUES[found["ten"].lower()] + VALUES[found["one"].lower()]
    return VALUES[found["word"].lower()]
