"""Puts text from outside into a prompt as material and never as instructions."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence

from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.messages.utils import count_tokens_approximately

from langgraph_cooper.nodes.language.history import clean
from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.ranker.data.dialogue import Utterance

# The role marks of chat templates: some servers obey them wherever they stand. Tags of thoughts:
# a model that repeats one would seem to think.
ROLE_MARKS = re.compile(
    r"<[|\uff5c][^|\uff5c<>]{1,40}[|\uff5c]>|</?(?:s|bos|eos|start_of_turn|end_of_turn)>|\[/?INST\]|<</?SYS>>"
    r"|</?think(?:ing)?>",
    re.IGNORECASE,
)
MARK_ENDS = re.compile(r"<[|\uff5c]|[|\uff5c]>")
MAX_NESTED = 3  # marks in one another that are removed one by one

CUT = "[…]"
"""Stands for the middle of a message that is too long for a prompt."""

LEAST_TOKENS = 100  # of the last utterance, whatever else the prompt holds


def delimited(label: str, text: str) -> str:
    """Put text between random delimiters, which the text cannot contain."""
    token = secrets.token_hex(8)
    return f"<{label} {token}>\n{text}\n</{label} {token}>"


def prompt_line(text: str, limit: int | None = None) -> str:
    """Return the text on one line without role marks, cut to the limit."""
    text = clean(text)
    for _ in range(MAX_NESTED):  # removing one may form another
        before, text = text, clean(ROLE_MARKS.sub(" ", text))
        if text == before:
            return text[:limit]
    # Thousands in one another would take a pass each: no mark is left without its ends.
    return clean(MARK_ENDS.sub(" ", text))[:limit]


def transcript(task: TaskSpec, said: Iterable[Utterance]) -> str:
    """Write one line for each utterance, so that none can forge a line of the other side."""
    roles = {"user": task.user_role.capitalize(), "system": task.system_role.capitalize()}
    return "\n".join(f"{roles[u.speaker]}: {prompt_line(u.text)}" for u in said)


def tokens_of(messages: Sequence[BaseMessage]) -> int:
    """Return about how many tokens messages have, without any model's tokeniser.

    Four letters of English make a token, but a Chinese sign is one of its own, and Cyrillic lies
    between: the count grows with the share of letters that are not ASCII.
    """
    text = "".join(message.text for message in messages)
    foreign = sum(not character.isascii() for character in text) / max(len(text), 1)
    return count_tokens_approximately(messages, chars_per_token=4 / (1 + 3 * foreign))


def fitting(said: Sequence[Utterance], tokens: int) -> list[Utterance]:
    """Return the end of a dialogue that fits into so many tokens.

    The last utterance always stays; it is cut in its middle if it alone is too long.
    """
    kept: list[Utterance] = []
    for utterance in reversed(said):
        cost, room = _cost(utterance), tokens if kept else max(tokens, LEAST_TOKENS)
        if cost > room:
            if not kept:
                kept.append(_shortened(utterance, room))
            break
        kept.append(utterance)
        tokens -= cost
    return kept[::-1]


def _cost(utterance: Utterance) -> int:
    return tokens_of([HumanMessage(utterance.text)])


def _shortened(utterance: Utterance, tokens: int) -> Utterance:
    text = utterance.text
    half = len(text) * tokens // (2 * _cost(utterance))
    while half and _cost(short := Utterance(utterance.speaker, _cut(text, half))) > tokens:
        half = half * 9 // 10
    return short if half else utterance


def _cut(text: str, half: int) -> str:
    return f"{text[:half].rstrip()} {CUT} {text[-half:].lstrip()}"
