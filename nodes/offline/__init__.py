"""The embedded default: a tracker that extracts, a promoter that retrieves, a modest speaker."""

from langgraph_cooper.nodes.offline.backend import offline_backend

__all__ = ["offline_backend"]
