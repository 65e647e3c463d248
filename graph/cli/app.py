"""The commands and their options; each does its work in a module of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from langgraph_cooper.prompts import CooperError, UnknownTaskError, list_tasks, load_task

app = typer.Typer(
    name="cooper",
    help="Conversations with a hard goal: specialised agents, a trained ranker, one graph.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

USAGE, FAILURE, INTERRUPTED = 2, 1, 130

Task = Annotated[
    str, typer.Option(help="A shipped task, or the path of your own task's file or folder.")
]


@app.command()
def chat(
    task: Task = "esc",
    model: Annotated[
        str | None,
        typer.Option(help="A chat model's name on the OpenAI-compatible endpoint; none: offline."),
    ] = None,
    thread: Annotated[
        str | None, typer.Option(help="The conversation to continue; by default the task's name.")
    ] = None,
    db: Annotated[
        Path | None, typer.Option(help="An SQLite file that keeps conversations.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per turn.")] = False,
    show_agents: Annotated[
        bool, typer.Option("--show-agents", help="Show the agents' reports and the ranking.")
    ] = False,
    ranker: Annotated[
        str | None, typer.Option(help="A ranker's checkpoint: a folder or a name on the hub.")
    ] = None,
) -> None:
    """Talk in the terminal, or pipe in one user turn per line."""
    from langgraph_cooper.graph.cli.chat import ChatOptions, run_chat

    options = ChatOptions(
        task=load_task(task),
        model=model,
        thread=thread,
        db=db,
        as_json=json,
        show_agents=show_agents,
        ranker=ranker,
    )
    if not run_chat(options):
        raise typer.Exit(FAILURE)


@app.command()
def graph(task: Task = "esc") -> None:
    """Print the whole graph as Mermaid text, its subgraphs opened."""
    from langgraph_cooper.graph.cooper import create_cooper

    typer.echo(create_cooper(task).compile().get_graph(xray=1).draw_mermaid(), nl=False)


@app.command()
def tasks() -> None:
    """List the tasks that come with the package."""
    for name in list_tasks():
        spec = load_task(name)
        typer.echo(f"{name}: {spec.title} ({', '.join(spec.aspect_names)}; m={spec.m}, K={spec.k})")


def main() -> None:
    """Runs a command; a person's mistake ends in one line and an exit code, not in a traceback."""
    try:
        app()
    except UnknownTaskError as error:
        _end(error, USAGE)
    except CooperError as error:
        _end(error, FAILURE)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone; keep Python from complaining when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILURE)


def _end(error: CooperError, code: int) -> None:
    typer.echo(f"error: {error}", err=True)
    sys.exit(code)
