"""The progression node of a specialised agent (paper, "Local Analysis")."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableLambda

from langgraph_cooper.nodes.node import Node, Update, fault_of
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.state import AspectReport, Target
from langgraph_cooper.prompts import AspectSpec

if TYPE_CHECKING:
    from langgraph_cooper.ranker.api import Ranker

NEAREST = 3  # target states in a report; the attention itself is over all of them


def progression_node(aspect: AspectSpec, resources: Resources) -> Node:
    """Build the node that analyses how far the aspect has come, and towards which target states.

    It is sync because it runs torch: LangGraph runs a sync node in a thread, where it cannot block
    an event loop. The progression signal p_i = [v_i; s_i] is not saved: the coordinator computes
    it again from the state summary.
    """

    def progression(state: Mapping[str, Any]) -> Update:
        report: AspectReport = state[aspect.name]
        try:
            return {aspect.name: _analysis(resources.ranker(), aspect.name, report)}
        except Exception as error:
            # The last progress stays.
            faults = [*report.get("faults", []), fault_of("progression", error)]
        return {aspect.name: AspectReport(faults=faults)}

    return RunnableLambda(progression, name="progression")


def _analysis(ranker: Ranker, aspect: str, report: AspectReport) -> AspectReport:
    found = ranker.progression(aspect, report["state"])
    # Without a state all targets have the same attention: none is the nearest.
    nearest = found.targets[:NEAREST] if report["state"] else ()
    numbers = [found.progress, *(weight for _, weight in nearest)]
    if not (all(map(math.isfinite, numbers)) and math.isfinite(abs(found.signal).max())):
        raise ArithmeticError(f"the ranker's analysis of {aspect!r} is no number")
    return AspectReport(
        progress=round(float(found.progress), 4),
        targets=[Target(text=text, weight=round(float(weight), 4)) for text, weight in nearest],
    )
