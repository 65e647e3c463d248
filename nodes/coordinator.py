"""The coordinator node: ranks all agents' candidates (paper, "Global Coordination")."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.runnables import RunnableConfig, RunnableLambda

from langgraph_cooper.nodes.candidates import (
    bounded,
    completed,
    distinct_topics,
    report_of,
    unranked,
)
from langgraph_cooper.nodes.choices import past_choices
from langgraph_cooper.nodes.context import current_context
from langgraph_cooper.nodes.errors import InputError
from langgraph_cooper.nodes.events import emit, fault_event, ranking_events, turn_of
from langgraph_cooper.nodes.language.history import utterances
from langgraph_cooper.nodes.node import Node, Update, fault_of
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.state import Candidate, Explanation, RankedCandidate, with_fault
from langgraph_cooper.nodes.subjects.in_play import may_be_raised, subjects_in_play
from langgraph_cooper.prompts import PASSIVE, TaskSpec
from langgraph_cooper.ranker.data.dialogue import Utterance, dialogue_round

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from langgraph_cooper.ranker.model.calibration import Calibration

Gathered = Sequence[tuple[str, Candidate]]


def coordinator_node(resources: Resources) -> Node:
    """Build the node that ranks all candidates with the ranker.

    It is sync because it runs torch: LangGraph runs a sync node in a thread, where it cannot block
    an event loop. All candidates stay in the state with their scores, so that the state alone
    explains a reply. With calibrated coordination the first choice is of the aspect with the
    largest share + calibration; the others keep the ranker's order. If the ranker fails, or a run
    asks for it, the agents take turns in the task's order.
    """

    def coordinate(state: Mapping[str, Any], config: RunnableConfig) -> Update:
        history = utterances(state.get("messages", []))
        gathered, turn = gather(resources.task, state, history), turn_of(state.get("messages", []))
        update: Update = {}
        marks: list[Explanation] = [Explanation() for _ in gathered]
        try:
            if current_context().coordination == "turns":
                scores = taking_turns(gathered)
            else:
                scores = _scores(resources, state, gathered, history)
            if gathered and (calibrated := _calibrated(resources, state, gathered, history)):
                scores, marks = calibrated.coordinate(scores)
                update["cooper"] = {**state["cooper"], "expected": calibrated.expected}
        except Exception as error:
            fault = fault_of("coordinator", error)
            emit([fault_event(turn, fault)], config)
            update["cooper"] = with_fault(state["cooper"], fault)
            scores = taking_turns(gathered)
        scores = lift_due([candidate for _, candidate in gathered], scores)
        # The order is deterministic: sorted() keeps the agents' order of equal scores. "due" is a
        # key of its own because a score of 1e300 swallows the 1 that lifts it.
        order = sorted(
            range(len(gathered)), key=lambda i: (not gathered[i][1].get("due"), -scores[i])
        )
        ranking = [
            RankedCandidate(
                rank=place,
                score=round(scores[i], 4),
                aspect=gathered[i][0],
                **gathered[i][1],
                **marks[i],
            )
            for place, i in enumerate(order, start=1)
        ]
        chosen = distinct_topics(ranking)[: current_context().k or resources.task.k]
        emit(ranking_events(turn, ranking, chosen), config)
        return {**update, "ranking": ranking}

    return RunnableLambda(coordinate, name="coordinator")


def gather(
    task: TaskSpec, state: Mapping[str, Any], history: Sequence[Utterance] | None = None
) -> list[tuple[str, Candidate]]:
    """Return a turn's candidates with their aspects, without those that the user has refused.

    Args:
        task: The task; its order of aspects is kept, and the passive candidate comes last.
        state: The conversation's state; a person may have edited its candidates.
        history: The state's messages as utterances, if the caller has them.

    Raises:
        InputError: What was edited cannot be read.
    """
    if history is None:
        history = utterances(state.get("messages", []))
    in_play = {subject.id for subject in subjects_in_play(task.subjects, history)}
    gathered = [
        (aspect.name, candidate)
        for aspect in task.aspects
        for candidate in bounded(_proposed(state, aspect.name))
        if candidate.get("due") or may_be_raised(candidate["topic"], aspect, in_play)
    ]
    passive = bounded(unranked(completed(state.get(PASSIVE) or [], PASSIVE)))
    return [*gathered, *((PASSIVE, candidate) for candidate in passive)]


def _proposed(state: Mapping[str, Any], aspect: str) -> list[Candidate]:
    return unranked(completed(report_of(state, aspect).get("candidates") or [], aspect))


def _scores(
    resources: Resources,
    state: Mapping[str, Any],
    gathered: Gathered,
    history: Sequence[Utterance],
) -> list[float]:
    """Return the ranker's score of each candidate, made finite.

    Raises:
        ValueError: The ranker returned another number of scores, or no finite one.
    """
    # Imported here: a graph can be built and drawn without numpy.
    from langgraph_cooper.ranker.api import ScoredTopic, finite

    if not gathered:
        return []
    given = resources.ranker().score(
        history,
        [ScoredTopic(aspect, candidate["topic"]) for aspect, candidate in gathered],
        _signals(resources, state),
    )
    scores = [float(score) for score in given]
    if len(scores) != len(gathered) or not any(math.isfinite(score) for score in scores):
        raise ValueError("not a score for each candidate")
    return finite(scores)


class _Calibrated(NamedTuple):
    """The terms of one turn's calibrated coordination."""

    aspects: list[str]
    """[n] the aspect of each candidate."""
    terms: dict[str, float]
    """The term of each aspect."""
    expected: dict[str, float]

    def coordinate(self, scores: Sequence[float]) -> tuple[list[float], list[Explanation]]:
        """Return the scores with the first choice lifted, and the marks of each candidate."""
        from langgraph_cooper.ranker.model.calibration import aspect_shares, first_choice, lifted

        choice = first_choice(scores, self.aspects, self.terms)
        now = lifted(scores, choice).tolist()
        shares = aspect_shares(scores, self.aspects)
        marks = [
            Explanation(share=round(shares[a], 4), calibration=round(self.terms[a], 4))
            for a in self.aspects
        ]
        if now[choice] != scores[choice]:
            marks[choice]["lift"] = round(now[choice] - scores[choice], 4)
        return now, marks


def _calibrated(
    resources: Resources,
    state: Mapping[str, Any],
    gathered: Gathered,
    history: Sequence[Utterance],
) -> _Calibrated | None:
    """Return the turn's terms; None where coordination is off.

    Raises:
        InputError: The run asks for calibrated coordination, and the ranker has no calibration.
    """
    context = current_context()
    if context.coordination == "turns":
        return None
    ranker: Any = resources.ranker()
    calibration: Calibration | None = getattr(ranker, "calibration", None)
    if calibration is None:
        if context.coordination == "calibrated" or context.strength is not None:
            raise InputError(
                f"coordination cannot be calibrated: the ranker {ranker.name!r} has no "
                "calibration; leave the option out, or make one with 'cooper evaluate calibration'"
            )
        return None
    strength = calibration.used(context.coordination, context.strength)
    if not strength:
        return None
    expected = {name: round(share, 4) for name, share in ranker.expected(history).items()}
    past = past_choices(state.get("messages", []))
    terms = calibration.terms(dialogue_round(history), expected, past, strength)
    return _Calibrated([aspect for aspect, _ in gathered], terms, expected)


def _signals(resources: Resources, state: Mapping[str, Any]) -> dict[str, NDArray[np.float32]]:
    """Return the progression signal of every aspect, zeros where the analysis failed."""
    import numpy as np

    ranker = resources.ranker()
    signals = {}
    for name in resources.task.aspect_names:
        report: Mapping[str, Any] = state.get(name) or {}
        if "state" in report and not _failed(report):
            signals[name] = ranker.progression(name, report["state"]).signal
        else:
            signals[name] = np.zeros((2, ranker.dimension), dtype=np.float32)
    return signals


def _failed(report: Mapping[str, Any]) -> bool:
    return any(fault["step"] == "progression" for fault in report.get("faults", []))


def taking_turns(gathered: Gathered) -> list[float]:
    """Return scores that rank all agents' first candidates, then all their second, and so on."""
    seen: Counter[str] = Counter()
    scores = []
    for aspect, _ in gathered:
        scores.append(0.0 - seen[aspect])
        seen[aspect] += 1
    return scores


def lift_due(candidates: Sequence[Candidate], scores: Sequence[float]) -> list[float]:
    """Return scores in which due candidates stand at least 1 above all others."""
    pairs = list(zip(candidates, scores, strict=True))
    above = 1.0 + max((score for c, score in pairs if not c.get("due")), default=0.0)
    return [max(score, above) if c.get("due") else score for c, score in pairs]
