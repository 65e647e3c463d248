"""Topic candidates on their way into the state: short and sound, whoever proposed them."""

from __future__ import annotations

from collections.abc import Iterable

from langchain_core.runnables import RunnableConfig

from langgraph_cooper.nodes.backend import PromoterInput
from langgraph_cooper.nodes.language.history import clean
from langgraph_cooper.nodes.node import fault_of
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.state import Candidate, RankedCandidate

MAX_TOPIC = 600
"""Characters; as many as a task file allows."""


def bounded(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The candidates with topics on one line and of at most 600 characters; empty ones dropped."""
    short = [_bounded(candidate) for candidate in candidates]
    return [candidate for candidate in short if candidate["topic"]]


def _bounded(candidate: Candidate) -> Candidate:
    if candidate["source"] == "bank":  # a task's own words stay as the generator knows them
        return candidate
    # Cutting comes first as well: cleaning 100 kB takes its time.
    topic = clean(candidate["topic"][: 2 * MAX_TOPIC])[:MAX_TOPIC]
    return {**candidate, "topic": topic}


def distinct_topics(ranking: Iterable[RankedCandidate]) -> list[RankedCandidate]:
    """The best of each topic: two agents may have proposed the same."""
    first: dict[str, RankedCandidate] = {}
    for ranked in ranking:
        first.setdefault(ranked["topic"].casefold(), ranked)
    return list(first.values())


def bank_candidates(
    resources: Resources, given: PromoterInput, config: RunnableConfig
) -> list[Candidate]:
    """What the task's own bank offers, for when no model can be asked; nothing if that fails too.

    Raises:
        CooperError: A person must mend something first.
    """
    try:
        return resources.offline.promoter.invoke(given, config)
    except Exception as error:
        fault_of("promoter", error)
        return []
