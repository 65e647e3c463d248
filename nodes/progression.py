"""The progression node of a specialised agent (paper, "Local Analysis")."""

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

NEAREST = 3  # target states in a report; the attention itself is over all of them
FLOAT16_MAX = 65_504.0


def progression_node(aspect: AspectSpec, resources: Resources) -> Node:
    """Build the node that computes the aspect's progression signal p_i = [v_i; s_i].

    It is sync because it runs torch: LangGraph runs a sync node in a thread, where it cannot block
    an event loop. After a fault the report has no signal.
    """

    def progression(state: Mapping[str, Any]) -> Update:
        report: AspectReport = state[aspect.name]
        try:
            return {aspect.name: {**report, **_analysis(resources.ranker(), aspect.name, report)}}
        except Exception as error:
            faults = [*report.get("faults", []), fault_of("progression", error)]
        # The last progress stays; a signal of the last state would mislead the ranker.
        known = {key: value for key, value in report.items() if key != "signal"}
        return {aspect.name: {**known, "faults": faults}}

    return RunnableLambda(progression, name="progression")


def _analysis(ranker: Ranker, aspect: str, report: AspectReport) -> AspectReport:
    found = ranker.progression(aspect, report["state"])
    # Without a state all targets have the same attention: none is the nearest.
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
