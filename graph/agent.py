"""A specialised agent: tracker, promoter and progression analysis as one subgraph."""

from __future__ import annotations

from typing import Any

from langgraph.graph import END, START, StateGraph

from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.progression import progression_node
from langgraph_cooper.nodes.promoter import promoter_node
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.state import agent_schema
from langgraph_cooper.nodes.tracker import tracker_node
from langgraph_cooper.prompts import AspectSpec


def create_agent(
    aspect: AspectSpec, resources: Resources, *, analyse: bool = True
) -> StateGraph[Any, CooperContext, Any, Any]:
    """Build the agent A_i of one aspect T_i.

    Args:
        aspect: The aspect.
        resources: The task, the backends and the ranker that all nodes share.
        analyse: False leaves out the progression analysis, which needs target states.

    Returns:
        An uncompiled graph. It reads `messages` and its own report of the turn before, and writes
        its new report under the aspect's name.
    """
    working, report = agent_schema(aspect.name)
    graph = StateGraph(working, context_schema=CooperContext, output_schema=report)
    graph.add_node("tracker", tracker_node(aspect, resources))
    graph.add_node("promoter", promoter_node(aspect, resources))
    graph.add_edge(START, "tracker")
    graph.add_edge("tracker", "promoter")
    if analyse:
        graph.add_node("progression", progression_node(aspect, resources))
        graph.add_edge("promoter", "progression")
    graph.add_edge("progression" if analyse else "promoter", END)
    return graph
