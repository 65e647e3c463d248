"""The state tracker of a specialised agent (paper, "Local Analysis")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langgraph_cooper.nodes.backend import TrackerInput
from langgraph_cooper.nodes.context import current_context
from langgraph_cooper.nodes.history import utterances
from langgraph_cooper.nodes.node import Call, Node, Update, calling_node
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.state import AspectReport
from langgraph_cooper.prompts import AspectSpec


def tracker_node(aspect: AspectSpec, resources: Resources) -> Node:
    """Builds the node that brings the aspect's state summary S_i up to date."""

    def prepare(state: Mapping[str, Any]) -> Call:
        messages = state.get("messages", [])
        report: AspectReport = state.get(aspect.name) or AspectReport()
        covers = report.get("covers", 0)
        if covers > len(messages):  # messages were taken back: what was known no longer holds
            report, covers = AspectReport(), 0
        given = TrackerInput(
            aspect=aspect,
            previous=report.get("state", ""),
            said=utterances(messages[covers:]),
        )
        return resources.backend(current_context()).tracker, given

    def finish(state: Mapping[str, Any], summary: str) -> Update:
        known = AspectReport(state=summary, covers=len(state.get("messages", [])))
        return {aspect.name: {**(state.get(aspect.name) or {}), **known}}

    return calling_node("tracker", prepare, finish)
