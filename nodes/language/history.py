"""Turns messages into the dialogue history H_t that the agents and the ranker read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langgraph_cooper.ranker.data.dialogue import Speaker, Utterance

MAX_CHARACTERS = 8_000
"""Length of the longest message that is answered, in characters: some 1,500 words."""

MAX_RAW_CHARACTERS = 4 * MAX_CHARACTERS  # before cleaning, which takes a second per megabyte

# Zero-width joiners, which several scripts and emoji need.
JOINERS = "\u200c\u200d"
# Lone surrogates, bidirectional controls, tag characters, and the variation selectors that no font
# uses: one text can hide in them behind another.
DROPPED = re.compile(r"[\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufe00-\ufe0d\U000e0000-\U000e0fff]")
JOINED = re.compile(rf"([{JOINERS}])[{JOINERS}]+")
# Letters and signs without a visible form.
BLANKS = re.compile(r"[\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0]")


def utterances(messages: Iterable[BaseMessage]) -> list[Utterance]:
    """Return the dialogue in turns: consecutive messages of one side become one utterance.

    A user's message that is too long to be answered was refused when it came and is skipped; a
    long message of the system's side is cut. Other messages (system, tool) and empty ones are no
    part of the dialogue.
    """
    merged: list[Utterance] = []
    for message in messages:
        side = speaker_of(message)
        if side is None or (side == "user" and too_long(text_of(message))):
            continue
        text = clean(text_of(message)[:MAX_RAW_CHARACTERS])[:MAX_CHARACTERS]
        if not text:
            continue
        if merged and merged[-1].speaker == side:
            text = f"{merged.pop().text} {text}"
        merged.append(Utterance(side, text))
    return merged


def text_of(message: BaseMessage) -> str:
    """Return all text of a message, its blocks joined by spaces.

    LangChain's `message.text` joins them without one, as a stream's pieces must be:
    "I lost my job.I feel awful."
    """
    if isinstance(message.content, str):
        return message.content
    blocks = (b if isinstance(b, str) else b.get("text") for b in message.content)
    return " ".join(text for text in blocks if isinstance(text, str))


def too_long(text: str) -> bool:
    """Return whether a message is too long to be answered."""
    return len(text) > MAX_RAW_CHARACTERS or len(text) > MAX_CHARACTERS < len(clean(text))


def speaker_of(message: BaseMessage) -> Speaker | None:
    """Return a message's side: "user", "system" (the side that COOPER plays), or None.

    A message that calls a tool is no speech: a host's supervisor hands over with one, and the text
    beside the call is about that.
    """
    if isinstance(message, HumanMessage):
        return "user"
    speaks = isinstance(message, AIMessage) and not message.tool_calls
    return "system" if speaks else None


def clean(text: str) -> str:
    """Return the text on one line, without control, format and invisible characters.

    Lone surrogates fail in every encoder and saver; the others can break or forge a prompt.
    """
    if not (text.isascii() and text.isprintable()):
        text = BLANKS.sub(" ", JOINED.sub(r"\1", DROPPED.sub("", text)))
        text = "".join(c if c.isprintable() or c in JOINERS else " " for c in text)
    return " ".join(bare for word in text.split() if (bare := word.strip(JOINERS)))


def last_user_text(history: Sequence[Utterance]) -> str:
    """Return the user's last words; empty if the system spoke last or nobody has spoken."""
    return history[-1].text if history and history[-1].speaker == "user" else ""
