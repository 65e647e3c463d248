"""The nodes of the graph, and the two backends that understand and produce language."""

from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.errors import InputError, ModelError
from langgraph_cooper.nodes.state import AspectReport, Candidate, RankedCandidate, Target

__all__ = [
    "AspectReport",
    "Candidate",
    "CooperContext",
    "InputError",
    "ModelError",
    "RankedCandidate",
    "Target",
]
