"""Global coordination: the ranker orders all agents' candidates (paper, "Global Coordination")."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableLambda

from langgraph_cooper.nodes.candidates import bounded
from langgraph_cooper.nodes.language.history import utterances
from langgraph_cooper.nodes.language.subjects import subjects_in_play
from langgraph_cooper.nodes.node import Node, Update, fault_of
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.signal import decode_signal
from langgraph_cooper.nodes.state import Candidate, RankedCandidate, with_fault
from langgraph_cooper.prompts import PASSIVE, TaskSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Gathered = Sequence[tuple[str, Candidate]]


def coordinator_node(resources: Resources) -> Node:
    """Builds the node that ranks all candidates with the trained ranker.

    It is sync for the same reason as the progression node. All candidates stay in the state with
    their scores, so that "why did it say that" is answered from the state alone. Where the ranker
    fails, the agents take turns in the task's order.
    """

    def coordinate(state: Mapping[str, Any]) -> Update:
        gathered = gather(resources.task, state)
        update: Update = {}
        try:
            scores = _scores(resources, state, gathered)
        except Exception as error:
            update["cooper"] = with_fault(state["cooper"], fault_of("coordinator", error))
            scores = taking_turns(gathered)
        scores = lift_due([candidate for _, candidate in gathered], scores)
        # sorted() keeps the agents' order where scores are equal: the result is deterministic.
        # Those that are due come first whatever the scores: 1e300 is no less than 1e300 + 1.
        order = sorted(
            range(len(gathered)), key=lambda i: (not gathered[i][1].get("due"), -scores[i])
        )
        ranking = [_ranked(place, scores[i], *gathered[i]) for place, i in enumerate(order, 1)]
        return {**update, "ranking": ranking}

    return RunnableLambda(coordinate, name="coordinator")


def gather(task: TaskSpec, state: Mapping[str, Any]) -> list[tuple[str, Candidate]]:
    """All candidates of a turn with their aspects: in the task's order, then the passive one.

    Nobody who has said no is asked again, whoever proposes it: of an aspect that stands back
    (`AspectSpec.unless`) only the bank's own topics about that are left.
    """
    said = {s.id for s in subjects_in_play(task.subjects, utterances(state.get("messages", [])))}
    lanes = {}
    for aspect in task.aspects:
        found = (state.get(aspect.name) or {}).get("candidates", [])
        if closed := said.intersection(aspect.unless):
            about = {topic.topic for topic in aspect.topics if closed.intersection(topic.about)}
            found = [candidate for candidate in found if candidate["topic"] in about]
        lanes[aspect.name] = found
    lanes[PASSIVE] = state.get(PASSIVE) or []
    return [(name, candidate) for name, found in lanes.items() for candidate in bounded(found)]


def _scores(resources: Resources, state: Mapping[str, Any], gathered: Gathered) -> list[float]:
    """A finite score for each candidate, from the ranker.

    Raises:
        ValueError: The ranker gave another number of scores, or none that is a number.
    """
    # Imported here: a graph can be built and drawn without numpy and the ranker's types.
    from langgraph_cooper.ranker.api import ScoredTopic, finite

    if not gathered:
        return []
    given = resources.ranker().score(
        utterances(state.get("messages", [])),
        [ScoredTopic(aspect, candidate["topic"]) for aspect, candidate in gathered],
        _signals(resources.task, state),
    )
    scores = [float(score) for score in given]
    if len(scores) != len(gathered) or not any(math.isfinite(score) for score in scores):
        raise ValueError("not a score for each candidate")
    return finite(scores)


def _signals(task: TaskSpec, state: Mapping[str, Any]) -> dict[str, NDArray[np.float32]]:
    """The progression signal of every aspect; zeros, which say nothing, where it is missing."""
    reports = {name: state.get(name) or {} for name in task.aspect_names}
    known = {name: decode_signal(r["signal"]) for name, r in reports.items() if "signal" in r}
    for signal in list(known.values())[:1]:
        known = {name: known.get(name, 0 * signal) for name in task.aspect_names}
    return known


def taking_turns(gathered: Gathered) -> list[float]:
    """Scores by which the agents take turns: all their first candidates, then all their second."""
    seen: Counter[str] = Counter()
    scores = []
    for aspect, _ in gathered:
        scores.append(0.0 - seen[aspect])
        seen[aspect] += 1
    return scores


def lift_due(candidates: Sequence[Candidate], scores: Sequence[float]) -> list[float]:
    """Scores in which a candidate that is due stands above all others, by 1."""
    others = [s for c, s in zip(candidates, scores, strict=True) if not c.get("due")]
    above = max(others, default=0.0) + 1.0
    pairs = zip(candidates, scores, strict=True)
    return [max(score, above) if c.get("due") else score for c, score in pairs]


def _ranked(place: int, score: float, aspect: str, candidate: Candidate) -> RankedCandidate:
    return RankedCandidate(rank=place, score=round(score, 4), aspect=aspect, **candidate)
