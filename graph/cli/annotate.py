"""`cooper annotate`: the agents' work at every system turn of real dialogues."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from langgraph_cooper.graph.cli.dialogues import annotate_into, annotation_cost, read_file
from langgraph_cooper.graph.cli.options import Deadline, MaxCalls, Task
from langgraph_cooper.prompts import load_task


def annotate(
    data: Annotated[Path, typer.Option(help="Dialogues: ESConv, P4G, or your own JSONL.")],
    output: Annotated[Path, typer.Option(help="Where the annotated dialogues go, as JSONL.")],
    task: Task = "esc",
    model: Annotated[str | None, typer.Option(help="A chat model; none: offline.")] = None,
    at_once: Annotated[
        int,
        typer.Option(
            min=1, help="Dialogues worked on at a time, each with a call per aspect under way."
        ),
    ] = 2,
    deadline: Deadline = 300,
    max_calls: MaxCalls = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it will take, calls and tokens.")
    ] = False,
) -> None:
    """Let the agents track and promote at every system turn of real dialogues."""
    from langgraph_cooper.graph.annotation.annotate import unfinished
    from langgraph_cooper.nodes.context import CooperContext

    spec = load_task(task)
    dialogues = read_file(spec, data)
    if limit is not None and limit < len(dialogues):
        typer.echo(f"only the first {limit:,} dialogues are annotated", err=True)
        dialogues = dialogues[:limit]
    if dry_run:
        waiting = unfinished(dialogues, spec, output, model)
        typer.echo(annotation_cost(spec, waiting, model))
        return
    limits = CooperContext(deadline=deadline, max_calls=max_calls)
    annotate_into(spec, dialogues, output, model=model, at_once=at_once, limits=limits)
