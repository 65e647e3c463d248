"""The progression analysis of a specialised agent (paper, "Local Analysis")."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableLambda

from langgraph_cooper.nodes.node import Node, Update, fault_of
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.signal import encode_signal
from langgraph_cooper.nodes.state import AspectReport, Target
from langgraph_cooper.prompts import AspectSpec

if TYPE_CHECKING:
    from langgraph_cooper.ranker.api import Ranker

NEAREST = 3  # target states that a report tells; the attention itself is over all of them
FLOAT16_MAX = 65_504.0


def progression_node(aspect: AspectSpec, resources: Resources) -> Node:
    """Builds the node that estimates where the aspect is heading: p_i = [v_i; s_i].

    It is sync on purpose: torch works in it, and LangGraph runs a sync node in a thread, where it
    does not hold up an event loop. Where it fails the report goes on without a signal.
    """

    def progression(state: Mapping[str, Any]) -> Update:
        report: AspectReport = state[aspect.name]
        try:
            return {aspect.name: {**report, **_analysis(resources.ranker(), aspect.name, report)}}
        except Exception as error:
            faults = [*report.get("faults", []), fault_of("progression", error)]
        # The progress of the last turn stands in; a signal of the last turn's state would not do.
        known = {key: value for key, value in report.items() if key != "signal"}
        return {aspect.name: {**known, "faults": faults}}

    return RunnableLambda(progression, name="progression")


def _analysis(ranker: Ranker, aspect: str, report: AspectReport) -> AspectReport:
    found = ranker.progression(aspect, report["state"])
    # Without a state the attention is the same to all targets: none is the nearest.
    nearest = found.targets[:NEAREST] if report["state"] else ()
    numbers = [found.progress, *(weight for _, weight in nearest)]
    largest = float(abs(found.signal).max())  # NaN if one is
    if not (all(math.isfinite(number) for number in numbers) and largest < FLOAT16_MAX):
        raise ArithmeticError(f"the ranker's analysis of {aspect!r} is no number")
    return AspectReport(
        progress=round(float(found.progress), 4),
        targets=[Target(text=text, weight=round(float(weight), 4)) for text, weight in nearest],
        signal=encode_signal(found.signal),
    )
