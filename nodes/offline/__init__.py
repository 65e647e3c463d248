"""The built-in default: tracks by extraction, promotes by retrieval, speaks from the bank."""

from langgraph_cooper.nodes.offline.backend import offline_backend

__all__ = ["offline_backend"]
