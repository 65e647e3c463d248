"""Splits text into sentences and words, and turns a user's sentence round to the second person."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+")
BULLET = re.compile(r"\s*(?:[-*•]|\d+[.)])\s+")
LINE_ENDS = re.compile(r"[.!?:;][\"')\]]*\s*$")
WORD = re.compile(r"[\w']+")

# First person to second person; "am" follows the "you" that "I" became.
TURNED = {
    "i": "you", "i'm": "you're", "im": "you're", "i've": "you've", "ive": "you've",
    "i'll": "you'll", "i'd": "you'd", "me": "you", "my": "your", "mine": "yours",
    "myself": "yourself", "am": "are",
}  # fmt: skip
# Turned after "I" alone: "I was" becomes "you were", but "my dog was" stays.
PAST = {"was": "were", "wasn't": "weren't", "wasnt": "weren't"}
# A sentence with one of these is not a plain statement about the speaker: it is not turned.
UNTURNABLE = frozenset(
    [
        "you", "your", "yours", "you're", "youre", "we", "us", "our", "ours", "we're", "we've",
        "let's", "please", "thanks", "thank", "hello", "hi", "hey", "ok", "okay", "bye", "yes",
        "no", "yeah", "god", "gosh", "goodness", "lord",
    ]
)  # fmt: skip
# Words between "I" and its verb: "I never was".
ADVERBS = frozenset(
    [
        "and", "but", "or", "never", "always", "also", "just", "really", "still", "already",
        "actually",
    ]
)  # fmt: skip
QUOTED = re.compile(r"[\"“”()\[\]{}]")
STARTS = frozenset({"i", "i'm", "im", "i've", "ive", "my"})
# Number of words of a sentence worth giving back: "I think so" is too short.
ECHO_WORDS = range(4, 15)


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, in order, without empty ones."""
    return [part.strip() for part in SENTENCE_END.split(text) if part.strip()]


def without_sentences(text: str, unwanted: Callable[[str], bool]) -> str:
    """Return a text without some of its sentences; paragraphs and lists keep their lines."""
    kept: list[str] = []
    for block in _blocks(text):
        mark = BULLET.match(block)
        start = mark.end() if mark else 0
        rest, end = "", start
        for stop in [*(gap.end() for gap in SENTENCE_END.finditer(block, start)), len(block)]:
            piece = block[end:stop]
            rest, end = rest if unwanted(piece.strip(" \t\n\"')]")) else rest + piece, stop
        if rest.strip():
            kept.append(block[:start] + rest.rstrip())
        elif not block.strip() and kept and kept[-1]:
            kept.append("")
    return "\n".join(kept).strip()


def _blocks(text: str) -> list[str]:
    """Return the lines of a text, a sentence that goes on in the next line in one piece."""
    blocks: list[str] = []
    for line in text.splitlines():
        before = blocks[-1] if blocks else ""
        goes_on = (
            before.strip()
            and line.strip()
            and not LINE_ENDS.search(before)
            and not BULLET.match(line)
            and (not BULLET.match(before) or line[0].isspace())
        )
        if goes_on:
            blocks[-1] = f"{before}\n{line}"
        else:
            blocks.append(line)
    return blocks


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, with straight apostrophes."""
    return WORD.findall(text.lower().replace("’", "'"))


def contains_phrase(text: str, phrase: str) -> bool:
    """Return whether the text contains the phrase as whole words, in any case."""
    return f" {' '.join(words(phrase))} " in f" {' '.join(words(text))} "


def echo(text: str) -> str | None:
    """Turn the user's last statement about themselves to the second person.

    "I lost my job." gives "you lost your job".

    Returns:
        The turned clause, without a full stop; None if no sentence can be turned safely.
    """
    for sentence in reversed(sentences(text)):
        tokens = sentence.rstrip(".!?,; ").replace("’", "'").split()
        plain = [token.strip('",.;:!?()').lower() for token in tokens]
        if len(tokens) in ECHO_WORDS and plain[0] in STARTS and not UNTURNABLE.intersection(plain):
            if sentence.endswith("?") or not sentence.replace("’", "'").isascii():
                continue
            if not QUOTED.search(sentence) and not _ambiguous(plain):
                return _turn(tokens, plain)
    return None


def _ambiguous(plain: list[str]) -> bool:
    """Return whether "was" may belong to "I" without following it ("I never was")."""
    return any(a in ADVERBS and b in PAST for a, b in itertools.pairwise(plain))


def _turn(tokens: list[str], plain: list[str]) -> str:
    turned = []
    for before, token, word in zip(["", *plain], tokens, plain, strict=False):
        new = (PAST.get(word) if before == "i" else None) or TURNED.get(word)
        turned.append(token if new is None else new + token[len(token.rstrip(",;:")) :])
    return " ".join(turned)
