"""The dialogue history H_t, as the agents and the ranker read it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langgraph_cooper.ranker.data.dialogue import Speaker, Utterance

MAX_CHARACTERS = 8_000
"""The longest message that is answered: some 1,500 words."""

LONGEST = 4 * MAX_CHARACTERS  # of blanks and all; to clean a megabyte takes a second

# Zero-width joiners spell words in several scripts, and emoji.
JOINERS = "\u200c\u200d"
# What is dropped: lone surrogates, bidirectional controls, tag characters, and the variation
# selectors that no font uses, in which a text can hide behind another.
DROPPED = re.compile(r"[\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufe00-\ufe0d\U000e0000-\U000e0fff]")
JOINED = re.compile(rf"([{JOINERS}])[{JOINERS}]+")
# Letters and signs that show as nothing.
BLANKS = re.compile(r"[\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0]")


def utterances(messages: Iterable[BaseMessage]) -> list[Utterance]:
    """What the two sides said, in turns: consecutive messages of one side are one utterance.

    A user's message that is too long to be answered stands in the thread, but it was refused and
    is not read; of the other side's the beginning is. Other messages (system, tool) and empty ones
    are no part of the dialogue.
    """
    merged: list[Utterance] = []
    for message in messages:
        side = speaker_of(message)
        if side is None or (side == "user" and too_long(message.text)):
            continue
        text = clean(message.text[:LONGEST])[:MAX_CHARACTERS]
        if not text:
            continue
        if merged and merged[-1].speaker == side:
            text = f"{merged.pop().text} {text}"
        merged.append(Utterance(side, text))
    return merged


def too_long(text: str) -> bool:
    """Whether a message has more than can be answered."""
    return len(text) > LONGEST or len(text) > MAX_CHARACTERS < len(clean(text))


def speaker_of(message: BaseMessage) -> Speaker | None:
    """Whose message it is: "user", "system" (the side that COOPER plays), or neither."""
    if isinstance(message, HumanMessage):
        return "user"
    return "system" if isinstance(message, AIMessage) else None


def clean(text: str) -> str:
    """The text on one line, without the characters that only break or forge things.

    Lone surrogates fail in every encoder and saver; control, format and invisible characters have
    no place in what a person says.
    """
    if not (text.isascii() and text.isprintable()):
        text = BLANKS.sub(" ", JOINED.sub(r"\1", DROPPED.sub("", text)))
        text = "".join(c if c.isprintable() or c in JOINERS else " " for c in text)
    return " ".join(bare for word in text.split() if (bare := word.strip(JOINERS)))


def last_user_text(history: Sequence[Utterance]) -> str:
    """What the user said last; empty where the system spoke last or nobody has yet."""
    return history[-1].text if history and history[-1].speaker == "user" else ""
