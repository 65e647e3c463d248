"""Splits text into sentences and words, and turns a user's sentence round to the second person."""

from __future__ import annotations

import itertools
import re

SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+")
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
