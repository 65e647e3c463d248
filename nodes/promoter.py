"""The aspect promoter of a specialised agent (paper, "Local Analysis")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langgraph_cooper.nodes.backend import PromoterInput
from langgraph_cooper.nodes.context import current_context
from langgraph_cooper.nodes.history import utterances
from langgraph_cooper.nodes.node import Call, Node, Update, calling_node
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.state import Candidate
from langgraph_cooper.prompts import AspectSpec


def promoter_node(aspect: AspectSpec, resources: Resources) -> Node:
    """Builds the node that suggests m topic candidates C_i1 ... C_im for the aspect."""

    def prepare(state: Mapping[str, Any]) -> Call:
        context = current_context()
        given = PromoterInput(
            aspect=aspect,
            history=utterances(state.get("messages", [])),
            state=state[aspect.name]["state"],
            m=context.m or resources.task.m,
        )
        return resources.backend(context).promoter, given

    def finish(state: Mapping[str, Any], candidates: list[Candidate]) -> Update:
        return {aspect.name: {**state[aspect.name], "candidates": candidates}}

    return calling_node("promoter", prepare, finish)
