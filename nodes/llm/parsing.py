"""Reads topic candidates and summaries from a model's answer, in whatever form it comes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from langchain_core.messages import AIMessage

from langgraph_cooper.nodes.language.controls import plain
from langgraph_cooper.nodes.language.history import clean
from langgraph_cooper.nodes.language.thoughts import strip_thoughts
from langgraph_cooper.nodes.state import Candidate

# What a model may write; what the state may hold (`nodes.state`) is longer.
MAX_WRITTEN_TOPIC = 200  # characters; the prompt asks for fewer than 15 words
MAX_WRITTEN_SUMMARY = 1_200  # characters; the prompt asks for four short sentences
MAX_CANDIDATES = 40  # twice as many as a prompt may ask for
MAX_ANSWER = 200_000  # characters that are read
MAX_FALSE_STARTS = 100  # brackets that begin no JSON; thousands of nested ones would take minutes
# Blanks before a line's first word, but no newline: a run of newlines would be read once for each.
INDENT = r"^[^\S\n]*"
FENCE = re.compile(rf"{INDENT}```.*$", re.MULTILINE)
# The wide marks and the danda need no space after them.
SENTENCE_END = re.compile(
    r"[.!?\u2026\u061f][\"'\u201d\u2019)\]]*(?=\s|\Z)|[\u3002\uff01\uff1f\u0964][\"\u201d\u300d\u300f]*"
)
# A delimiter of the prompt (`material.delimited`), as models repeat it: with or without brackets.
DELIMITER = re.compile(
    rf"</?[\w-]+ [0-9a-f]{{8,16}}(?:>|$)|{INDENT}[\w-]+ [0-9a-f]{{16}}\s*$",
    re.IGNORECASE | re.MULTILINE,
)
# A topic in prose: "The strategy is to ask about the boss."
PURPOSE = re.compile(
    r"\b(?:aim|candidate|goal|idea|step|strategy|suggestion|topic)\b[^.!?:]{0,40}\bis to ([^\n]+)",
    re.IGNORECASE,
)
OPENING = re.compile(r"[\[{]")
LISTED = re.compile(r"(?:\d{1,2}[.):]|[-*•])\s(.+)")
LABELLED = re.compile(r"(\w[\w ]{3,60}):\s(.+)")  # "Question: What happened?"
NOTHING = "(nothing yet)"
"""Stands for an empty summary or dialogue in a prompt."""


def in_one_block(answer: AIMessage) -> AIMessage:
    """Return an answer with its text blocks joined, by a space where a sentence ends.

    Blocks may also be the pieces of a stream, which is cut anywhere: they bring their own blanks.
    """
    if isinstance(answer.content, str):
        return answer
    pieces: list[str] = []
    for block in answer.content:
        piece = block if isinstance(block, str) else block.get("text")
        if not isinstance(piece, str):  # a thought, a call of a tool
            continue
        before = pieces[-1][-3:] if pieces else ""
        if before and whole_sentences(before) == before and piece[:1].isalpha():
            pieces.append(" ")
        pieces.append(piece)
    return answer.model_copy(update={"content": "".join(pieces)})


def read_candidates(text: str, strategies: Sequence[str]) -> list[Candidate]:
    """Read the candidates in a model's answer, tolerantly.

    JSON is taken wherever it stands (bare, in a fence, after prose or thoughts), as an object or a
    list; else the lines of a numbered or bulleted list; else sentences that name a purpose.

    Args:
        text: The answer.
        strategies: The aspect's strategies. A candidate with another strategy gets the first.

    Returns:
        The distinct candidates in order, each topic on one line and bounded; empty if none can be
        read.
    """
    text = strip_thoughts(text)[:MAX_ANSWER]
    single: list[Candidate] = []  # one by one, as in a list that was cut off
    for value in _json_values(text):
        found = list(_from_json(value, strategies))
        if isinstance(value, dict) and "topic" in value:
            single += found
        elif found:
            return distinct(single or found)[:MAX_CANDIDATES]
    listed = single or list(_from_lines(text, strategies)) or _from_prose(text, strategies)
    return distinct(listed)[:MAX_CANDIDATES]


def read_summary(text: str) -> str:
    """Read a state summary: one line, bounded, without thoughts, fences and delimiters.

    Small models repeat a delimiter of the prompt, and go on with a dialogue of their own: only the
    part before it is read. They go in circles: a sentence that came before is dropped. A long
    summary is cut after its last whole sentence: one that grew with every turn would crowd out the
    dialogue.
    """
    text = FENCE.sub("", strip_thoughts(text)[:MAX_ANSWER])
    parts = map(clean, DELIMITER.split(text))
    text = without_repeats(next(filter(None, parts), ""))
    text = text.removeprefix(NOTHING).lstrip() or text
    if len(text) <= MAX_WRITTEN_SUMMARY:
        return text
    text = text[:MAX_WRITTEN_SUMMARY]
    return whole_sentences(text) or text.rsplit(" ", 1)[0]


def whole_sentences(text: str) -> str:
    """Return a text that breaks off up to the end of its last whole sentence; empty without one."""
    ends = [end.end() for end in SENTENCE_END.finditer(text)]
    return text[: ends[-1]] if ends else ""


def sentences_of(text: str) -> list[str]:
    """Return the text in sentences, each with the blanks before it; the last may break off."""
    ends = [0, *(end.end() for end in SENTENCE_END.finditer(text)), len(text)]
    return [text[start:end] for start, end in pairwise(ends) if text[start:end].strip()]


def without_repeats(text: str) -> str:
    """Return a text without the sentences that came before in it."""
    first: dict[str, str] = {}
    for sentence in sentences_of(text):
        first.setdefault(sentence.strip().casefold(), sentence)
    return "".join(first.values()).strip()


def goes_in_circles(text: str) -> bool:
    """Return whether most of a text's sentences came before in it."""
    said = [sentence.strip().casefold() for sentence in sentences_of(text)]
    return len(said) > 2 * len(set(said))


def distinct(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Drop candidates whose topic came before, in any case."""
    first: dict[str, Candidate] = {}
    for candidate in candidates:
        first.setdefault(candidate["topic"].casefold().rstrip(".?! "), candidate)
    return list(first.values())


def _json_values(text: str) -> Iterator[object]:
    """Yield every JSON object or list in the text that is not inside another."""
    decoder, position, false_starts = json.JSONDecoder(), 0, 0
    while false_starts < MAX_FALSE_STARTS and (match := OPENING.search(text, position)):
        try:
            value, position = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):  # not JSON, too many digits, or nested too deep
            position, false_starts = match.start() + 1, false_starts + 1
            continue
        yield value


def _from_json(value: object, strategies: Sequence[str]) -> Iterator[Candidate]:
    topic: str
    strategy: object
    if isinstance(value, dict):
        inner = value.get("properties")  # the schema repeated, perhaps filled in
        fields = inner if isinstance(inner, dict) else value
        lists = [entry for entry in fields.values() if isinstance(entry, list)]
        value = fields.get("candidates") or (lists[0] if lists else [fields])
    if isinstance(value, dict) and all(key.isdigit() for key in value):
        value = list(value.values())  # a list written as an object: {"1": ..., "2": ...}
    if isinstance(value, str):
        yield from _from_lines(value, strategies)
    for entry in value if isinstance(value, list) else ():
        if isinstance(entry, str):
            topic, strategy = entry, None
        elif isinstance(entry, dict) and isinstance(entry.get("topic"), str):
            topic, strategy = entry["topic"], entry.get("strategy")
        else:
            continue
        if candidate := _candidate(topic, strategy, strategies):
            yield candidate


def _from_lines(text: str, strategies: Sequence[str]) -> Iterator[Candidate]:
    """Yield a candidate for each line of a numbered or bulleted list, or with a strategy's name."""
    for line in map(str.strip, text.splitlines()):
        listed = LISTED.fullmatch(line)
        labelled = LABELLED.fullmatch(listed[1] if listed else line)
        named = labelled and _named(labelled[1], strategies)
        if labelled and named:
            topic: str | None = labelled[2]
        else:
            topic = listed[1] if listed else None
        if topic and (candidate := _candidate(topic, named, strategies)):
            yield candidate


def _named(label: str, strategies: Sequence[str]) -> str | None:
    """Return the strategy that a label names, perhaps by its beginning ("Reflect")."""
    label = label.casefold().strip()
    return next((name for name in strategies if name.casefold().startswith(label)), None)


def _from_prose(text: str, strategies: Sequence[str]) -> list[Candidate]:
    """Return a candidate for each sentence that names a purpose."""
    topics = (PURPOSE.search(sentence) for sentence in sentences_of(text))
    found = (_candidate(topic[1], "", strategies) for topic in topics if topic)
    return [candidate for candidate in found if candidate]


def _candidate(topic: str, strategy: object, strategies: Sequence[str]) -> Candidate | None:
    # JSON may have hidden an escape as "\u001b".
    line = clean(plain(topic[: 4 * MAX_WRITTEN_TOPIC]))[:MAX_WRITTEN_TOPIC].strip(" \"'")
    if not line:
        return None
    known = {name.casefold(): name for name in strategies}
    named = strategy.strip().casefold() if isinstance(strategy, str) else ""
    named = known.get(named, strategies[0])
    return Candidate(topic=line, strategy=named, source="model")
