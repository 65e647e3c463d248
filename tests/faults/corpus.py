"""The corpus that the guard is measured on, and the ways in which its words are dressed up."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

CORPUS: dict[str, Any] = tomllib.loads(
    Path(__file__).with_name("crisis.toml").read_text(encoding="utf-8")
)
ENGLISH = [
    (said, group["kind"])
    for name, group in CORPUS["crisis"].items()
    for said in group["say"]
    if name != "other_languages"
]
CRISIS = [(said, group["kind"]) for group in CORPUS["crisis"].values() for said in group["say"]]
SPLIT = [(parts, kind) for kind, listed in CORPUS["split"].items() for parts in listed]
BENIGN = [(said, name) for name, listed in CORPUS["benign"].items() for said in listed]

KEY_WORDS = ("suicidal", "suicide", "killing", "kill", "myself", "die", "overdose", "dead", "hang")
LEET = str.maketrans({"i": "1", "e": "3", "a": "4", "o": "0", "s": "5"})
CYRILLIC = str.maketrans({"a": "а", "e": "е", "o": "о", "i": "і", "c": "с", "s": "ѕ", "y": "у"})


def _in_key_words(change: Callable[[str], str]) -> Callable[[str], str]:
    """Changes the words that matter and leaves the others."""

    def changed(said: str) -> str:
        return " ".join(
            change(word) if word.lower().strip(".,!?") in KEY_WORDS else word
            for word in said.split()
        )

    return changed


def _wide(said: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in said)


def _stretched(word: str) -> str:
    return word[:-1] + word[-1] * 4


def _bold(said: str) -> str:
    return "".join(chr(0x1D41A + ord(c) - ord("a")) if "a" <= c <= "z" else c for c in said.lower())


def _slipped(word: str) -> str:
    """Two letters swapped, in words that are long enough to be told even so."""
    return word[:2] + word[3] + word[2] + word[4:] if len(word) > 5 else word


DRESSED: dict[str, Callable[[str], str]] = {
    "capitals": str.upper,
    "no apostrophes": lambda said: said.replace("'", ""),
    "typographic apostrophes": lambda said: said.replace("'", "’"),
    "line breaks": lambda said: said.replace(" ", "\n"),
    "full width": _wide,
    "mathematical bold": _bold,
    "zero-width spaces": "\u200b".join,
    "soft hyphens": "\u00ad".join,
    "tag characters": "\U000e0041".join,
    "combining marks": lambda said: "".join(c + "\u0301" if c.isalpha() else c for c in said),
    "cyrillic look-alikes": lambda said: said.lower().translate(CYRILLIC),
    "digits for letters": _in_key_words(lambda word: word.lower().translate(LEET)),
    "repeated letters": _in_key_words(_stretched),
    "letters set apart": _in_key_words(" ".join),
    "letters with dots": _in_key_words(".".join),
    "letters with hyphens": _in_key_words("-".join),
    "swapped letters": _in_key_words(_slipped),
    "emoji between": lambda said: said.replace(" ", " 🥀 "),
    "in the middle of a long text": lambda said: (
        f"{'It rained today. ' * 200}{said} {'Well. ' * 200}"
    ),
}


def shuffled(seed: int = 0) -> list[str]:
    """The benign entries in some order, for joining those that follow one another."""
    said = [text for text, _ in BENIGN]
    random.Random(seed).shuffle(said)
    return said
