"""The command line `cooper`: puts the commands together, and turns errors into one sentence.

The modules of the commands are imported at the start. What they need is imported when they run, so
that `cooper --help` stays quick.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from langgraph_cooper.graph.cli import (
    annotate,
    chat,
    data,
    evaluate,
    events,
    graph,
    plot,
    replay,
    serve,
    tasks,
    threads,
    train,
    train_answers,
    train_claims,
    train_context,
    train_decisions,
    train_generator,
    train_guard,
    train_relevance,
)
from langgraph_cooper.graph.cli.groups import MainGroup, TrainGroup
from langgraph_cooper.graph.cli.terminal import tell
from langgraph_cooper.prompts import CooperError, UnknownTaskError

app = typer.Typer(
    name="cooper",
    cls=MainGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for command in (
    chat.chat,
    serve.serve,
    graph.graph,
    events.events,
    tasks.tasks,
    annotate.annotate,
    replay.replay,
):
    app.command()(command)
training = typer.Typer(
    cls=TrainGroup,
    no_args_is_help=True,
    help="Train a ranker, a generator, or one of the small models beside them.",
)
training.command("ranker")(train.train)
training.command("generator")(train_generator.train_generator)
training.command("answers")(train_answers.train_answers)
training.command("claims")(train_claims.train_claims)
training.command("context")(train_context.train_context)
training.command("decisions")(train_decisions.train_decisions)
training.command("guard")(train_guard.train_guard)
training.command("relevance")(train_relevance.train_relevance)
app.add_typer(training, name="train")
app.add_typer(threads.app, name="threads")
app.add_typer(data.app, name="data")
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(plot.app, name="plot")

USAGE, FAILURE = 2, 1


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"cooper {version('langgraph-cooper')}")
        raise typer.Exit


@app.callback()
def cooper(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Conversations with a hard goal: specialised agents, a trained ranker, one graph."""


def main() -> None:
    """Run a command. A mistake ends in one sentence and an exit code instead of a traceback."""
    if sys.stdout is None or sys.stderr is None:  # closed by the caller
        sys.exit(FAILURE)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not every terminal can show what people write
            stream.reconfigure(errors="replace")
    try:
        app()
    except CooperError as error:
        tell(f"error: {error}", err=True)
        sys.exit(USAGE if isinstance(error, UnknownTaskError) else FAILURE)
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            what = error.filename or "the output"
            tell(f"error: {what}: {error.strerror or error}", err=True)
        # Nobody reads the output any more: keep Python from complaining when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILURE)
