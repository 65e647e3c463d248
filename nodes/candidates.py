"""Bounds, deduplicates and replaces topic candidates before they enter the state."""

from __future__ import annotations

from collections.abc import Iterable

from langchain_core.runnables import RunnableConfig

from langgraph_cooper.nodes.backend import PromoterInput
from langgraph_cooper.nodes.language.history import clean
from langgraph_cooper.nodes.node import fault_of
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.state import MAX_TOPIC, Candidate, RankedCandidate


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
