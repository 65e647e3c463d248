"""The progression analysis of a specialised agent (paper, "Local Analysis")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import RunnableLambda

from langgraph_cooper.nodes.node import Node, Update
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.signal import encode_signal
from langgraph_cooper.nodes.state import AspectReport, Target
from langgraph_cooper.prompts import AspectSpec

NEAREST = 3  # target states that a report tells; the attention itself is over all of them


def progression_node(aspect: AspectSpec, resources: Resources) -> Node:
    """Builds the node that estimates where the aspect is heading: p_i = [v_i; s_i].

    It is sync on purpose: torch works in it, and LangGraph runs a sync node in a thread, where it
    does not hold up an event loop.
    """

    def progression(state: Mapping[str, Any]) -> Update:
        report: AspectReport = state[aspect.name]
        found = resources.ranker().progression(aspect.name, report["state"])
        analysis = AspectReport(
            progress=round(found.progress, 4),
            # Without a state the attention is the same to all targets: none is the nearest.
            targets=[
                Target(text=text, weight=round(weight, 4))
                for text, weight in (found.targets[:NEAREST] if report["state"] else ())
            ],
            signal=encode_signal(found.signal),
        )
        return {aspect.name: {**report, **analysis}}

    return RunnableLambda(progression, name="progression")
