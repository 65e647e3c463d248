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
CODE = re.compile(r"[{}\]]|\[\s*[\[{\"]|```")
FENCE = re.compile(r"```(?:json|text|markdown|md)?[^\S\n]*\n(.*?)\n?```", re.DOTALL)
TEMPLATE = re.compile(r"<\|im_start\|>(?:assistant)?\s*|<\|im_end\|>|</?s>|<\|eot_id\|>")
KEYS = ("reply", "response", "utterance", "text", "message")  # of the reply in an object
EMPTY = frozenset(("null", "none", "n/a"))
LAYERS = 5  # a fence, an object, a lead-in, a label, and quotation marks
MEANT_TWICE = 15  # characters: a shorter sentence may be said several times on purpose
REFRAIN = 3  # times that a longer sentence may be said among others
TIMES_AS_LONG = 6  # as the task's `reply_words`
LETTERS = 7  # of a word, with the blank after it
HANGING = re.compile(r"\n[^\S\n]*\d{1,2}[.)]\s*\Z")  # the number of a list's entry that was cut off


def clean_reply(text: str, task: TaskSpec) -> str:
    """Return a model's answer as the person shall read it.

    Removed are a chat template's marks, a fence or an object around the reply, a lead-in line such
    as "Sure! Here is the reply:", a label (one of the task's roles, "Assistant", "Reply"),
    quotation marks around the whole, words that the model wrote for the other person, and
    repetitions without end. A reply that is six times as long as the task asks for is cut at the
    end of a sentence.

    Returns:
        The reply; empty if the answer is none.
    """
    text = TEMPLATE.sub("", text[:MAX_ANSWER]).strip()
    for _ in range(LAYERS):
        before, text = text, _unquoted(_unlabelled(_without_lead_in(_unpacked(text), task), task))
        if text == before:
            break
    nothing = text.isascii() and not any(map(str.isalnum, text))
    if CODE.match(text) or nothing or text.casefold() in EMPTY:
        return ""
    return _cut(_said_once(text), TIMES_AS_LONG * LETTERS * task.reply_words)


def _unpacked(text: str) -> str:
    """Return what a fence or a JSON object is around; any other text as it is."""
    if fenced := FENCE.fullmatch(text):
        return fenced.group(1).strip()
    if not text.startswith("{"):
        return text
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    texts = {key.casefold(): value for key, value in found.items() if isinstance(value, str)}
    named = [texts[key] for key in KEYS if key in texts]
    only = list(texts.values()) if len(found) == 1 else []
    return next(iter([*named, *only]), text).strip()


def _without_lead_in(text: str, task: TaskSpec) -> str:
    pattern = LEAD_IN.pattern.replace("{role}", re.escape(task.system_role))
    found = re.match(pattern, text, re.IGNORECASE)
    rest = text[found.end() :] if found else ""
    return rest if rest and not LISTED.match(rest) else text


def _unlabelled(text: str, task: TaskSpec) -> str:
    """Return a reply without the label that it begins with, and what others say before or after.

    Of a text that begins with the other person's label, the first labelled reply counts.
    """
    roles = "|".join(map(re.escape, (task.system_role, task.user_role)))
    if re.match(_label(re.escape(task.user_role)), text, re.IGNORECASE):
        reply = _line_labelled(re.escape(task.system_role)).search(text)
        text = text[reply.start() :].lstrip() if reply else ""
    label = re.match(_label("|".join([roles, *LABELS])), text, re.IGNORECASE)
    if label is None:
        return text
    text = text[label.end() :]
    goes_on = _line_labelled(roles).search(text)
    return text[: goes_on.start()].rstrip() if goes_on else text


def _line_labelled(names: str) -> re.Pattern[str]:
    return re.compile(r"^[^\S\n]*" + _label(names), re.IGNORECASE | re.MULTILINE)


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
