"""`cooper graph`: a drawing of the graph."""

from __future__ import annotations

import typer

from langgraph_cooper.graph.cli.options import Task


def graph(task: Task = "esc") -> None:
    """Print the whole graph as Mermaid text, its subgraphs opened."""
    from langgraph_cooper.graph.cooper import create_cooper

    typer.echo(create_cooper(task).compile().get_graph(xray=1).draw_mermaid(), nl=False)
