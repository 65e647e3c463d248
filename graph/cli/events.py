"""`cooper events`: the JSON schema of the events of a turn."""

from __future__ import annotations

import json

import typer


def events() -> None:
    """Print the JSON schema of the events of a turn, for clients in any language."""
    from langgraph_cooper.nodes.events import event_schema

    typer.echo(json.dumps(event_schema(), indent=2, ensure_ascii=False))
