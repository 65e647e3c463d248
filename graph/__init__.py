"""COOPER as a LangGraph graph."""

from langgraph_cooper.graph.cooper import create_cooper
from langgraph_cooper.nodes.context import CooperContext

__all__ = ["CooperContext", "create_cooper"]
