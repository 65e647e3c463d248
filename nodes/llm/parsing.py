"""Reading topic candidates from whatever a model wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence

from langgraph_cooper.nodes.language.history import clean
from langgraph_cooper.nodes.state import Candidate

MAX_TOPIC = 200  # characters; fewer than 20 words were asked for
MAX_SUMMARY = 1_200  # characters; four sentences were asked for, and each turn adds to the last's
MAX_CANDIDATES = 40  # more were never asked for
MAX_ANSWER = 200_000  # characters that are read
MAX_FALSE_STARTS = 100  # brackets that begin no JSON; trying thousands of nested ones takes minutes
THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
FENCE = re.compile(r"^\s*```.*$", re.MULTILINE)
SENTENCE_END = re.compile(r"[.!?](?= )|[\u3002\uff01\uff1f]")  # the wide marks need no space
OPENING = re.compile(r"[\[{]")
LISTED = re.compile(r"(?:\d{1,2}[.):]|[-*•])\s(.+)")


def read_candidates(text: str, strategies: Sequence[str]) -> list[Candidate]:
    """Reads the candidates in a model's answer, tolerantly.

    JSON is taken wherever it stands (bare, in a fence, after prose or thoughts), as the object
    that was asked for or as a list; failing that, the lines of a numbered or bulleted list.

    Args:
        text: The answer as it came.
        strategies: The aspect's strategies. A candidate that names none of them gets the first.

    Returns:
        The candidates in order, each topic on one line, bounded, duplicates dropped; an empty list
        if there are none to be read.
    """
    text = without_thoughts(text)[:MAX_ANSWER]
    for value in _json_values(text):
        if found := list(_from_json(value, strategies)):
            return distinct(found)[:MAX_CANDIDATES]
    return distinct(_from_lines(text, strategies))[:MAX_CANDIDATES]


def read_summary(text: str) -> str:
    """Reads a state summary: one line, bounded, without thoughts and fences.

    What is too long ends with its last whole sentence: a summary that grew with every turn would
    take the place of the dialogue.
    """
    text = clean(FENCE.sub("", without_thoughts(text)[:MAX_ANSWER]))
    if len(text) <= MAX_SUMMARY:
        return text
    text = text[:MAX_SUMMARY]
    ends = [end.start() for end in SENTENCE_END.finditer(text)]
    return text[: ends[-1] + 1] if ends else text.rsplit(" ", 1)[0]


def without_thoughts(text: str) -> str:
    """The answer without what a reasoning model thought aloud before it."""
    return THOUGHT.sub("", text)


def distinct(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Drops candidates whose topic stands there already, in any capitals."""
    first: dict[str, Candidate] = {}
    for candidate in candidates:
        first.setdefault(candidate["topic"].casefold().rstrip(".?! "), candidate)
    return list(first.values())


def _json_values(text: str) -> Iterator[object]:
    """Every JSON object or list in the text that is not inside another."""
    decoder, position, false_starts = json.JSONDecoder(), 0, 0
    while false_starts < MAX_FALSE_STARTS and (match := OPENING.search(text, position)):
        try:
            value, position = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):  # no JSON, a number of 5,000 digits, or too deep
            position, false_starts = match.start() + 1, false_starts + 1
            continue
        yield value


def _from_json(value: object, strategies: Sequence[str]) -> Iterator[Candidate]:
    topic: str
    strategy: object
    if isinstance(value, dict):
        inner = value.get("properties")  # the schema given back, perhaps filled in
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
    """The lines of a numbered or bulleted list."""
    for line in text.splitlines():
        listed = LISTED.fullmatch(line.strip())
        if listed and (candidate := _candidate(listed.group(1), "", strategies)):
            yield candidate


def _candidate(topic: str, strategy: object, strategies: Sequence[str]) -> Candidate | None:
    line = clean(topic[: 4 * MAX_TOPIC])[:MAX_TOPIC].strip(" \"'")
    if not line:
        return None
    known = {name.casefold(): name for name in strategies}
    named = strategy.strip().casefold() if isinstance(strategy, str) else ""
    named = known.get(named, strategies[0])
    return Candidate(topic=line, strategy=named, source="model")
