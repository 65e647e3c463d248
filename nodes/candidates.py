"""Bounds, deduplicates and replaces topic candidates before they enter the state."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig

from langgraph_cooper.nodes.backend import PromoterInput
from langgraph_cooper.nodes.errors import InputError
from langgraph_cooper.nodes.language.history import clean
from langgraph_cooper.nodes.node import fault_of
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.state import MAX_TOPIC, AspectReport, Candidate, RankedCandidate
from langgraph_cooper.prompts import PASSIVE
from langgraph_cooper.prompts.errors import a_kind

TAKEN = (
    "if a graph around COOPER has a key of this name, rename that, or call COOPER's graph from a "
    "node function"
)
"""The remedy for a value that another graph keeps under one of COOPER's keys."""


def completed(candidates: object, place: str) -> list[Candidate]:
    """Complete candidates that a person may have edited, at a breakpoint or with `update_state`.

    Args:
        candidates: Candidates; a topic's text alone, or one without strategy or source, will do.
        place: The state's key that holds them.

    Raises:
        InputError: Something else stands there.
    """
    if not isinstance(candidates, list | tuple):
        raise InputError(
            f"the candidates of {place!r} are {a_kind(candidates)}: give a list of topics; {TAKEN}"
        )
    return [_completed(candidate, place) for candidate in candidates]


def _completed(candidate: object, place: str) -> Candidate:
    fields = {"topic": candidate} if isinstance(candidate, str) else candidate
    known = {"strategy": "", "source": "person"}
    if not isinstance(fields, Mapping) or not isinstance(fields.get("topic"), str):
        raise InputError(
            f"a candidate of {place!r} has no topic: give a text, or a mapping with a text as "
            "its topic"
        )
    texts = {key: fields.get(key) or value for key, value in known.items()}
    if not all(isinstance(text, str) for text in texts.values()):
        raise InputError(f"a candidate of {place!r} has a strategy or a source that is no text")
    return Candidate(**{**fields, **texts})  # type: ignore[typeddict-item]


def unranked(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Drop the fields that are no candidate's: a person may have copied it from a ranking."""
    return [
        Candidate(**{key: each[key] for key in each if key in Candidate.__annotations__})  # type: ignore[literal-required, typeddict-item]
        for each in candidates
    ]


def completed_ranking(ranking: object, aspects: Collection[str]) -> list[RankedCandidate]:
    """Complete a ranking that a person may have edited, and drop empty topics.

    Args:
        ranking: Ranked candidates; a topic's text alone, or one without the other fields, will
            do. One without an aspect is passive.
        aspects: The names of the task's aspects.

    Raises:
        InputError: Something else stands there.
    """
    candidates = bounded(completed(ranking or [], "ranking"))
    return [_ranked(candidate, place, aspects) for place, candidate in enumerate(candidates, 1)]


def _ranked(candidate: Mapping[str, Any], place: int, aspects: Collection[str]) -> RankedCandidate:
    aspect = candidate.get("aspect") or PASSIVE
    if aspect not in (*aspects, PASSIVE):
        raise InputError(
            f"a candidate of 'ranking' has the aspect {aspect!r}: name one of "
            f"{', '.join(aspects)}, {PASSIVE}, or none"
        )
    known = {"rank": place, "score": 0.0}
    numbers = {key: candidate.get(key, value) for key, value in known.items()}
    if not all(isinstance(number, int | float) for number in numbers.values()):
        raise InputError("a candidate of 'ranking' has a rank or a score that is no number")
    return RankedCandidate(**{**candidate, **numbers, "aspect": aspect})  # type: ignore[typeddict-item]


def report_of(state: Mapping[str, Any], aspect: str) -> AspectReport:
    """Return an aspect's report, which a person may have edited; empty if there is none.

    Raises:
        InputError: It cannot be read.
    """
    report = state.get(aspect) or {}
    if not isinstance(report, Mapping):
        raise InputError(
            f"the report of {aspect!r} is {a_kind(report)}: give a mapping with a text "
            "as its 'state', and leave its 'covers' as it was: without it the state is made anew; "
            f"{TAKEN}"
        )
    covers = report.get("covers") or {"messages": 0}
    if not isinstance(covers, Mapping) or not isinstance(covers.get("messages"), int):
        raise InputError(
            f"the report of {aspect!r} covers no number of messages: leave its 'covers' as it was"
        )
    # A summary that covers messages is read; another one is made anew.
    summary = report.get("state", None if report.get("covers") else "")
    if not isinstance(summary, str):
        raise InputError(f"the state of {aspect!r} is {a_kind(summary)}: give a text")
    return report  # type: ignore[return-value]


def bounded(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Cut topics to one line of at most `MAX_TOPIC` characters, and drop empty ones."""
    short = [_bounded(candidate) for candidate in candidates]
    return [candidate for candidate in short if candidate["topic"]]


def _bounded(candidate: Candidate) -> Candidate:
    if candidate["source"] == "bank":  # the generator looks up a bank's topics by their text
        return candidate
    # Cut before cleaning too, which is slow on 100 kB.
    topic = clean(candidate["topic"][: 2 * MAX_TOPIC])[:MAX_TOPIC]
    return {**candidate, "topic": topic}


def distinct_topics(ranking: Iterable[RankedCandidate]) -> list[RankedCandidate]:
    """Return the best candidate of each topic: two agents may have proposed the same."""
    first: dict[str, RankedCandidate] = {}
    for ranked in ranking:
        first.setdefault(ranked["topic"].casefold(), ranked)
    return list(first.values())


def bank_candidates(
    resources: Resources, given: PromoterInput, config: RunnableConfig
) -> list[Candidate]:
    """Return the bank's candidates in place of a failed model's; none if that fails too.

    Raises:
        CooperError: A person must mend something first.
    """
    try:
        return resources.offline.promoter.invoke(given, config)
    except Exception as error:
        fault_of("promoter", error)
        return []
