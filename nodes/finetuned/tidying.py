"""Makes a sampled reply presentable: whole sentences, capital letters, an end."""

from __future__ import annotations

import re

from langgraph_cooper.nodes.language.text import sentences, words

END = re.compile(r"[.!?…][\"'”’)\]]*$|(?:[:;]-?[)D(P]|[)\U0001f300-\U0001faff])$")
ASKS = re.compile(
    r"^(?:(?:and|so|but|ok|okay|well|oh) )*(?:what|who|where|when|why|how|which|is|are|was|were|"
    r"do|does|"
    r"did|can|could|would|will|have|has|should)\b",
    re.IGNORECASE,
)
# A sentence does not end with one of these.
UNFINISHED = frozenset(
    [
        "a",
        "an",
        "the",
        "and",
        "or",
        "but",
        "of",
        "at",
        "from",
        "by",
        "as",
        "if",
        "than",
        "because",
        "my",
        "your",
        "his",
        "her",
        "their",
        "our",
        "its",
        "were",
        "be",
        "does",
        "had",
        "may",
        "might",
        "must",
        "very",
        "really",
        "just",
        "i",
        "you're",
        "i'm",
        "it's",
        "they're",
        "we're",
        "who",
        "which",
        "when",
        "where",
        "into",
        "also",
    ]
)
ALONE = re.compile(r"(?<![\w'’.])i(?=(?:['’](?:m|ve|d|ll))?(?![\w'’.]))")
SPACED = re.compile(r"\s+([,.!?;:])(?=\s|$)")


def tidied(text: str, most: int) -> str:
    """Return a reply on one line, cut after its last whole sentence of fewer than `most` words.

    A reply whose first sentence is cut off or too long stays as it is: a rule refuses it.
    """
    text = SPACED.sub(r"\1", " ".join(text.split()))
    parts = sentences(text)
    if not parts:
        return text
    if len(parts) > 1 and _is_cut(parts[-1]):
        parts = parts[:-1]
    while len(parts) > 1 and len(" ".join(parts).split()) >= most:
        parts = parts[:-1]
    if not END.search(parts[-1]) and not _is_cut(parts[-1]):
        parts[-1] += "?" if ASKS.match(parts[-1]) else "."
    capital = (part[0].upper() + part[1:] for part in parts)
    return ALONE.sub("I", " ".join(capital))


def _is_cut(sentence: str) -> bool:
    if END.search(sentence):
        return False
    own = words(sentence)
    return sentence[-1] in ",;:-—" or not own or own[-1] in UNFINISHED
