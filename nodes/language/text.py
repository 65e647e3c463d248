"""Plain text work of the offline backend: sentences, words, and giving back what was heard."""

from __future__ import annotations

import itertools
import re

SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+")
WORD = re.compile(r"[\w']+")

# First person to second person. "am" and "was" follow the "you" that "I" has become.
TURNED = {
    "i": "you", "i'm": "you're", "im": "you're", "i've": "you've", "ive": "you've",
    "i'll": "you'll", "i'd": "you'd", "me": "you", "my": "your", "mine": "yours",
    "myself": "yourself", "am": "are",
}  # fmt: skip
# "I was" becomes "you were"; wherever else the speaker may be the subject, it goes wrong.
PAST = {"was": "were", "wasn't": "weren't", "wasnt": "weren't"}
# With these a sentence is no plain statement about the speaker, and turning it round goes wrong.
UNTURNABLE = frozenset(
    [
        "you",
        "your",
        "yours",
        "you're",
        "youre",
        "we",
        "us",
        "our",
        "ours",
        "we're",
        "we've",
        "let's",
        "please",
        "thanks",
        "thank",
        "hello",
        "hi",
        "hey",
        "ok",
        "okay",
        "bye",
        "yes",
        "no",
        "yeah",
        "god",
        "gosh",
        "goodness",
        "lord",
    ]
)
BESIDES = frozenset(
    [
        "and",
        "but",
        "or",
        "never",
        "always",
        "also",
        "just",
        "really",
        "still",
        "already",
        "actually",
    ]
)
QUOTED = re.compile(r"[\"“”()\[\]{}]")
STARTS = frozenset({"i", "i'm", "im", "i've", "ive", "my"})
# A sentence that begins with the bare statement of a mind ("I think so") tells nothing worth it.
ECHO_WORDS = range(4, 15)


def sentences(text: str) -> list[str]:
    """The sentences of a text, in order, without empty ones."""
    return [part.strip() for part in SENTENCE_END.split(text) if part.strip()]


def words(text: str) -> list[str]:
    """The words of a text in lower case, with straight apostrophes."""
    return WORD.findall(text.lower().replace("’", "'"))


def contains_phrase(text: str, phrase: str) -> bool:
    """Whether the phrase stands in the text as whole words, in any capitals."""
    return f" {' '.join(words(phrase))} " in f" {' '.join(words(text))} "


def echo(text: str) -> str | None:
    """Turns round what the user said last about themselves.

    "I lost my job." gives "you lost your job".

    Returns:
        The turned clause, without a full stop; None where no sentence can be turned round safely.
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
    """Whether a "was" may be the speaker's without standing beside "I" ("I never was")."""
    return any(a in BESIDES and b in PAST for a, b in itertools.pairwise(plain))


def _turn(tokens: list[str], plain: list[str]) -> str:
    turned = []
    for before, token, word in zip(["", *plain], tokens, plain, strict=False):
        new = (PAST.get(word) if before == "i" else None) or TURNED.get(word)
        turned.append(token if new is None else new + token[len(token.rstrip(",;:")) :])
    return " ".join(turned)
