"""`cooper tasks`: the shipped tasks."""

from __future__ import annotations

import typer

from langgraph_cooper.prompts import list_tasks, load_task


def tasks() -> None:
    """List the tasks that come with the package."""
    for name in list_tasks():
        spec = load_task(name)
        typer.echo(f"{name}: {spec.title} ({', '.join(spec.aspect_names)}; m={spec.m}, K={spec.k})")
