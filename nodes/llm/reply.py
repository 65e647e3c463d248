"""Cleans a model's reply: removes what small models write around it, and their repetitions.

The rules are narrow: a sound reply stays as it is, with its quotations, lists, colons and sentences
that are meant twice ("No. No.").
"""

from __future__ import annotations

import json
import re
from collections import Counter

from langgraph_cooper.nodes.llm.parsing import MAX_ANSWER, sentences_of, whole_sentences
from langgraph_cooper.prompts import TaskSpec

LABELS = ("Assistant", "Reply", "Response", "Utterance")
"""Labels before a reply, besides the task's roles."""
# "Sure! Here is the reply:", alone on its line. "Here is a reply that you could send her:" leads to
# something else, which is part of the reply: no other words are allowed.
LEAD_IN = re.compile(
    r"(?:(?:sure|certainly|of course|absolutely|okay|ok|yes)(?: thing)?[!.,]?[ ]+)?"
    r"here(?:['\u2019]s| is) (?:the|my|your|an?) "
    r"(?:(?:next|short|brief|warm|kind|gentle|concise|supportive|empathetic|compassionate),? )*"
    r"(?:reply|response|utterance|answer)"
    r"(?: (?:as|from|of|by) (?:the|an?) {role})?:\s*\n\s*",
    re.IGNORECASE,
)
LISTED = re.compile(r"(?:[-*•]|\d{1,2}[.)])\s")
QUOTES = {'"': '"', "\u201c": "\u201d", "\u201e": "\u201c\u201d", "\u00ab": "\u00bb"}
MARKS = frozenset('"\u201c\u201d\u201e\u00ab\u00bb')
# Begins code: no utterance does. A single "[" may begin a stage direction.
CODE = re.compile(r"[{}\]]|\[\s*[\[{\"]")
LAYERS = 4  # a lead-in, a label, quotation marks, and an object around them
MEANT_TWICE = 15  # characters: a shorter sentence may be said several times on purpose
REFRAIN = 3  # times that a longer sentence may be said among others
TIMES_AS_LONG = 6  # as the task's `reply_words`
LETTERS = 7  # of a word, with the blank after it
HANGING = re.compile(r"\n[^\S\n]*\d{1,2}[.)]\s*\Z")  # the number of a list's entry that was cut off


def clean_reply(text: str, task: TaskSpec) -> str:
    """Return a model's answer as the person shall read it.

    Removed are an object with one text around the reply, a lead-in line such as "Sure! Here is the
    reply:", a label (one of the task's roles, "Assistant", "Reply"), quotation marks around the
    whole, a dialogue that goes on after a labelled reply, and repetitions without end. A reply that
    is six times as long as the task asks for is cut at the end of a sentence.

    Returns:
        The reply; empty if the answer is none.
    """
    text = text[:MAX_ANSWER].strip()
    for _ in range(LAYERS):
        before, text = text, _unquoted(_unlabelled(_without_lead_in(_unpacked(text), task), task))
        if text == before:
            break
    if CODE.match(text) or (text.isascii() and not any(map(str.isalnum, text))):
        return ""
    return _cut(_said_once(text), TIMES_AS_LONG * LETTERS * task.reply_words)


def _unpacked(text: str) -> str:
    """Return the only text of a JSON object; any other text as it is."""
    if not text.startswith("{"):
        return text
    try:
        values = list(json.loads(text).values())
    except (ValueError, RecursionError):
        return text
    return values[0].strip() if len(values) == 1 and isinstance(values[0], str) else text


def _without_lead_in(text: str, task: TaskSpec) -> str:
    pattern = LEAD_IN.pattern.replace("{role}", re.escape(task.system_role))
    found = re.match(pattern, text, re.IGNORECASE)
    rest = text[found.end() :] if found else ""
    return rest if rest and not LISTED.match(rest) else text


def _unlabelled(text: str, task: TaskSpec) -> str:
    """Return a reply without the label that it begins with, and what others say after it."""
    roles = "|".join(map(re.escape, (task.system_role, task.user_role)))
    label = re.match(_label("|".join([roles, *LABELS])), text, re.IGNORECASE)
    if label is None or not text[label.end() :].strip():
        return text
    text = text[label.end() :]
    goes_on = re.search(r"^[^\S\n]*" + _label(roles), text, re.IGNORECASE | re.MULTILINE)
    return text[: goes_on.start()].rstrip() if goes_on else text


def _label(names: str) -> str:
    return rf"[*_\[(]*(?:{names})[*_\])]*\s?:[*_]*\s*"


def _unquoted(text: str) -> str:
    """Return a text without the quotation marks around the whole of it.

    One that was cut off lacks the closing mark.
    """
    closing = QUOTES.get(text[:1])
    if closing is None:
        return text
    inside = text[1:-1] if text[-1] in closing and len(text) > 1 else text[1:]
    return inside.strip() if inside.strip() and not MARKS.intersection(inside) else text


def _said_once(text: str) -> str:
    """Return a text that goes in circles with each longer sentence once; any other as it is."""
    sentences = sentences_of(text)
    keys = [sentence.strip().casefold() for sentence in sentences]
    long = [key for key in keys if len(key) > MEANT_TWICE]
    if len(long) <= 2 * len(set(long)) and max(Counter(long).values(), default=0) <= REFRAIN:
        return text
    first = {key: place for place, key in reversed([*enumerate(keys)])}
    kept = [
        sentence
        for place, (sentence, key) in enumerate(zip(sentences, keys, strict=True))
        if len(key) <= MEANT_TWICE or first[key] == place
    ]
    return "".join(kept).strip()


def _cut(text: str, most: int) -> str:
    """Return a text of at most so many characters that ends with a sentence; else as it is."""
    if len(text) <= most:
        return text
    return HANGING.sub("", whole_sentences(text[:most])).rstrip() or text
