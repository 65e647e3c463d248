"""COOPER as a LangGraph graph."""

from langgraph_cooper.graph.cooper import create_cooper
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.errors import InputError, ModelError
from langgraph_cooper.nodes.state import AspectReport
from langgraph_cooper.prompts import CooperError, TaskError, TaskSpec, load_task

__all__ = [
    "AspectReport",
    "CooperContext",
    "CooperError",
    "InputError",
    "ModelError",
    "TaskError",
    "TaskSpec",
    "create_cooper",
    "load_task",
]
