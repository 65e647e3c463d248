"""The command `cooper`."""

from langgraph_cooper.graph.cli.app import main

__all__ = ["main"]
