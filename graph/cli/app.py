"""The commands and their options; each does its work in a module of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

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


data = typer.Typer(help="Look at dialogue data.", no_args_is_help=True)
app.add_typer(data, name="data")


@data.callback()
def _data() -> None:
    """Keeps `stats` a command of its own while it is the only one."""


@data.command()
def stats(
    files: Annotated[list[Path], typer.Argument(help="ESConv, P4G, or your own JSONL.")],
    task: Task = "esc",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count dialogues, rounds, strategies and aspects."""
    from langgraph_cooper.graph.cli.learn import show_statistics

    show_statistics(load_task(task), files, as_json=json)


@app.command()
def annotate(
    data: Annotated[Path, typer.Option(help="Dialogues: ESConv, P4G, or your own JSONL.")],
    output: Annotated[Path, typer.Option(help="Where the annotated dialogues go, as JSONL.")],
    task: Task = "esc",
    model: Annotated[str | None, typer.Option(help="A chat model; none: offline.")] = None,
    at_once: Annotated[int, typer.Option(min=1, help="Dialogues worked on at a time.")] = 2,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many.")] = None,
) -> None:
    """Let the agents track and promote at every system turn of real dialogues."""
    from langgraph_cooper.graph.cli.learn import run_annotation

    spec = load_task(task)
    run_annotation(spec, data, output, model=model, at_once=at_once, limit=limit)


@app.command()
def train(
    data: Annotated[Path, typer.Option(help="Dialogues, annotated or raw.")],
    output: Annotated[Path, typer.Option(help="The folder of the checkpoint.")],
    task: Task = "esc",
    valid: Annotated[
        Path | None, typer.Option(help="Dialogues for choosing the epoch; none: a tenth of data.")
    ] = None,
    seed: int = 0,
    epochs: Annotated[int, typer.Option(min=1)] = 3,
    max_turns: Annotated[int | None, typer.Option(min=1, help="Train on so many turns.")] = None,
    fusion: Annotated[
        Literal["aspect", "paper"], typer.Option(help="How the signals meet the candidates.")
    ] = "aspect",
    form: Annotated[
        Literal["packed", "pairwise"], typer.Option(help="All candidates at once, or one by one.")
    ] = "packed",
    progression: Annotated[
        bool, typer.Option("--progression/--no-progression", help="With progression signals.")
    ] = True,
    encoder: Annotated[
        str | None, typer.Option(help="Sentence encoder of the states; none: all-MiniLM-L6-v2.")
    ] = None,
    note: Annotated[str, typer.Option(help="For the model card: what the data is.")] = "",
    licence: Annotated[str, typer.Option(help="For the model card: its terms.")] = "",
) -> None:
    """Train a ranker: annotate raw dialogues, find target states, label, train, save."""
    from langgraph_cooper.graph.cli.learn import TrainOptions, run_training

    settings: dict[str, Any] = {
        "epochs": epochs,
        "max_turns": max_turns,
        "fusion": fusion,
        "form": form,
        "progression": progression,
        "data_note": note,
        "licence": licence,
    }
    if encoder:
        settings["encoder"] = encoder
    run_training(TrainOptions(task, data, valid, output, seed, settings))


evaluate = typer.Typer(help="Measure a ranker.", no_args_is_help=True)
app.add_typer(evaluate, name="evaluate")


@evaluate.callback()
def _evaluate() -> None:
    """Keeps `ranking` a command of its own while it is the only one."""


@evaluate.command()
def ranking(
    data: Annotated[Path, typer.Option(help="Dialogues to measure on, annotated or raw.")],
    train: Annotated[Path, typer.Option(help="Training dialogues, for P(aspect | round).")],
    task: Task = "esc",
    ranker: Annotated[
        str | None, typer.Option(help="A checkpoint; none: the one shipped for the task.")
    ] = None,
    weight: Annotated[
        float, typer.Option(help="Of the similarity beside P(aspect | round); tune it on valid.")
    ] = 0.3,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare the ranker with rankings that learn next to nothing."""
    from langgraph_cooper.graph.cli.learn import EvaluateOptions, run_evaluation

    run_evaluation(EvaluateOptions(task, data, train, ranker, weight), as_json=json)


def main() -> None:
    """Runs a command; a person's mistake ends in one line and an exit code, not in a traceback."""
    if sys.stdout is None or sys.stderr is None:  # closed by the caller
        sys.exit(FAILURE)
    try:
        app()
    except UnknownTaskError as error:
        _end(error, USAGE)
    except CooperError as error:
        _end(error, FAILURE)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            what = error.filename or "the output"
            typer.echo(f"error: {what}: {error.strerror or error}", err=True)
        # The reader of our output has gone; keep Python from complaining when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILURE)


def _end(error: CooperError, code: int) -> None:
    typer.echo(f"error: {error}", err=True)
    sys.exit(code)
