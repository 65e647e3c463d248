"""Global coordination: the ranker orders all agents' candidates (paper, "Global Coordination")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableLambda

from langgraph_cooper.nodes.history import utterances
from langgraph_cooper.nodes.node import Node, Update
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.signal import decode_signal
from langgraph_cooper.nodes.state import Candidate, RankedCandidate
from langgraph_cooper.prompts import PASSIVE, TaskSpec


def coordinator_node(resources: Resources) -> Node:
    """Builds the node that ranks all candidates with the trained ranker.

    It is sync for the same reason as the progression node. All candidates stay in the state with
    their scores, so that "why did it say that" is answered from the state alone.
    """

    def coordinate(state: Mapping[str, Any]) -> Update:
        # Imported here: a graph can be built and drawn without numpy and the ranker's types.
        from langgraph_cooper.ranker.inference import ScoredTopic

        gathered = gather(resources.task, state)
        reports = {name: state.get(name) or {} for name in resources.task.aspect_names}
        scores = resources.ranker().score(
            utterances(state.get("messages", [])),
            [ScoredTopic(aspect, candidate["topic"]) for aspect, candidate in gathered],
            {name: decode_signal(r["signal"]) for name, r in reports.items() if "signal" in r},
        )
        scores = lift_due([candidate for _, candidate in gathered], scores)
        # sorted() keeps the agents' order where scores are equal: the result is deterministic.
        order = sorted(range(len(gathered)), key=lambda i: -scores[i])
        return {
            "ranking": [
                _ranked(place, scores[i], *gathered[i]) for place, i in enumerate(order, start=1)
            ]
        }

    return RunnableLambda(coordinate, name="coordinator")


def gather(task: TaskSpec, state: Mapping[str, Any]) -> list[tuple[str, Candidate]]:
    """All candidates of a turn with their aspects: in the task's order, then the passive one."""
    reports = [(name, state.get(name) or {}) for name in task.aspect_names]
    found = [(name, c) for name, report in reports for c in report.get("candidates", [])]
    return found + [(PASSIVE, candidate) for candidate in state.get(PASSIVE) or []]


def lift_due(candidates: Sequence[Candidate], scores: Sequence[float]) -> list[float]:
    """Scores in which a candidate that is due stands above all others, by 1."""
    others = [s for c, s in zip(candidates, scores, strict=True) if not c.get("due")]
    above = max(others, default=0.0) + 1.0
    pairs = zip(candidates, scores, strict=True)
    return [max(score, above) if c.get("due") else score for c, score in pairs]


def _ranked(place: int, score: float, aspect: str, candidate: Candidate) -> RankedCandidate:
    return RankedCandidate(rank=place, score=round(score, 4), aspect=aspect, **candidate)
