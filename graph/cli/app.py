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

USAGE, FAILURE = 2, 1

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


threads = typer.Typer(help="Look after kept conversations.", no_args_is_help=True)
app.add_typer(threads, name="threads")
Db = Annotated[Path, typer.Option(help="The SQLite file that keeps the conversations.")]


@threads.command("list")
def list_threads(
    db: Db, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """List the threads of a file, with what they take."""
    from langgraph_cooper.graph.cli.threads import list_threads

    list_threads(db, as_json=json)


@threads.command()
def prune(
    db: Db,
    thread: Annotated[str | None, typer.Option(help="Only this thread.")] = None,
    keep: Annotated[int, typer.Option(min=1, help="Turns whose ends stay, to go back to.")] = 1,
) -> None:
    """Remove old checkpoints; the conversations stay as they are."""
    from langgraph_cooper.graph.cli.threads import prune_threads

    prune_threads(db, thread, keep)


@threads.command()
def delete(db: Db, thread: Annotated[str, typer.Option(help="The thread to forget.")]) -> None:
    """Forget a conversation, its bytes in the file too."""
    from langgraph_cooper.graph.cli.threads import delete_thread

    delete_thread(db, thread)


data = typer.Typer(help="Look at dialogue data, and fetch it.", no_args_is_help=True)
app.add_typer(data, name="data")


@data.command()
def stats(
    files: Annotated[list[Path], typer.Argument(help="ESConv, P4G, or your own JSONL.")],
    task: Task = "esc",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count dialogues, rounds, strategies and aspects."""
    from langgraph_cooper.graph.cli.data import show_statistics

    show_statistics(load_task(task), files, as_json=json)


@data.command()
def fetch(
    name: Annotated[str, typer.Argument(help="esconv or p4g.")],
    output: Annotated[Path, typer.Option(help="The folder for the files.")],
) -> None:
    """Download a data set from its public home; files that are there already are kept."""
    from langgraph_cooper.graph.cli.data import run_fetch

    run_fetch(name, output)


@app.command()
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
    deadline: Annotated[
        float,
        typer.Option(min=1, max=3600, help="Seconds for the chat model's calls of one turn."),
    ] = 300,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it will take, calls and tokens.")
    ] = False,
) -> None:
    """Let the agents track and promote at every system turn of real dialogues."""
    from langgraph_cooper.graph.cli.learn import AnnotateOptions, run_annotation

    options = AnnotateOptions(task, data, output, model, at_once, deadline, limit, dry_run)
    run_annotation(options)


# What `cooper train` is not told is left to `TrainConfig`, which has the defaults.
@app.command()
def train(
    data: Annotated[Path, typer.Option(help="Dialogues, annotated or raw.")],
    output: Annotated[Path, typer.Option(help="The folder of the checkpoint.")],
    task: Task = "esc",
    valid: Annotated[
        Path | None, typer.Option(help="Dialogues for choosing the epoch; none: a tenth of data.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random.")] = None,
    epochs: Annotated[int | None, typer.Option(help="At most so many.")] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many epochs without a better one.")
    ] = None,
    max_turns: Annotated[int | None, typer.Option(help="Train on so many turns.")] = None,
    turns_per_batch: Annotated[int | None, typer.Option(help="Turns in a step.")] = None,
    objective: Annotated[
        Literal["default", "paper"] | None,
        typer.Option(help="The listwise loss, or the paper's triplet and pointwise ones."),
    ] = None,
    fusion: Annotated[
        Literal["aspect", "paper"] | None, typer.Option(help="How the signals meet the candidates.")
    ] = None,
    form: Annotated[
        Literal["packed", "pairwise"] | None,
        typer.Option(help="All candidates at once, or one by one."),
    ] = None,
    progression: Annotated[
        bool | None,
        typer.Option("--progression/--no-progression", help="With progression signals, or not."),
    ] = None,
    clusters: Annotated[
        tuple[int, int] | None,
        typer.Option(help="Fewest and most target states to try; none: N/50 to N/20."),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Sentence encoder of the states; none: all-MiniLM-L6-v2.")
    ] = None,
    adapter_rank: Annotated[
        int | None, typer.Option(help="Rank of the low-rank adapters; 0: all weights learn.")
    ] = None,
    freeze_layers: Annotated[
        int | None, typer.Option(help="The Transformer's lowest layers, which stay as they are.")
    ] = None,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"] | None,
        typer.Option(help="Of the Transformer; auto: bfloat16 where the device computes in it."),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"] | None, typer.Option(help="auto: CUDA if there is one.")
    ] = None,
    note: Annotated[str | None, typer.Option(help="For the model card: what the data is.")] = None,
    licence: Annotated[str | None, typer.Option(help="For the model card: its terms.")] = None,
) -> None:
    """Train a ranker: annotate raw dialogues, find target states, label, train, save."""
    from langgraph_cooper.graph.cli.learn import TrainOptions, run_training

    settings: dict[str, Any] = {
        "seed": seed,
        "epochs": epochs,
        "patience": patience,
        "max_turns": max_turns,
        "turns_per_batch": turns_per_batch,
        "objective": None if objective == "default" else objective,
        "fusion": fusion,
        "form": form,
        "progression": progression,
        "clusters": clusters,
        "encoder": encoder,
        "adapter_rank": adapter_rank,
        "freeze_layers": freeze_layers,
        "precision": precision,
        "device": device,
        "data_note": note,
        "licence": licence,
    }
    run_training(TrainOptions(task, data, valid, output, settings))


evaluate = typer.Typer(help="Measure a ranker.", no_args_is_help=True)
app.add_typer(evaluate, name="evaluate")


@evaluate.command()
def ranking(
    data: Annotated[Path, typer.Option(help="Dialogues to measure on, annotated or raw.")],
    task: Task = "esc",
    annotated: Annotated[
        bool, typer.Option("--annotated", help="Insist that the data is annotated.")
    ] = False,
    ranker: Annotated[
        str | None, typer.Option(help="A checkpoint; none: the one shipped for the task.")
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option(help="Count P(aspect | round) here; none: as stored with the checkpoint."),
    ] = None,
    valid: Annotated[
        Path | None,
        typer.Option(help="Tune the similarity's weight here; none: as stored."),
    ] = None,
    weight: Annotated[
        float | None,
        typer.Option(min=0, max=1e6, help="Of the similarity beside P(aspect | round), as given."),
    ] = None,
    without_progression: Annotated[
        str | None,
        typer.Option(help="Trained without progression; none: the shipped one."),
    ] = None,
    others: Annotated[
        list[str] | None, typer.Option(help="NAME=CHECKPOINT to compare with; may be repeated.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="A chat model that shall rank, too.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="A file that keeps the chat model's answers.")
    ] = None,
    at_once: Annotated[int, typer.Option(min=1, help="Calls of the chat model at a time.")] = 4,
    figures: Annotated[
        Path | None, typer.Option(help="A folder for the figures and the report.")
    ] = None,
    form: Annotated[Literal["png", "svg"], typer.Option(help="Of the figures.")] = "png",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare the ranker with other rankings of the same turns."""
    from langgraph_cooper.graph.cli.evaluate import EvaluateOptions, run_evaluation

    options = EvaluateOptions(
        task=task,
        data=data,
        annotated=annotated,
        ranker=ranker,
        train=train,
        valid=valid,
        weight=weight,
        without_progression=without_progression,
        others=tuple(others or ()),
        model=model,
        cache=cache,
        at_once=at_once,
        figures=figures,
        form=form,
    )
    run_evaluation(options, as_json=json)


@evaluate.command()
def prior(
    train: Annotated[Path, typer.Option(help="The dialogues the ranker was trained on.")],
    valid: Annotated[Path, typer.Option(help="Those its epoch was chosen on.")],
    task: Task = "esc",
    ranker: Annotated[
        str | None, typer.Option(help="A checkpoint's folder; none: the task's shipped one.")
    ] = None,
) -> None:
    """Add P(aspect | round) and the similarity's weight to a checkpoint that lacks them."""
    from langgraph_cooper.graph.cli.evaluate import run_prior

    run_prior(load_task(task), train, valid, ranker)


plot = typer.Typer(help="Draw figures.", no_args_is_help=True)
app.add_typer(plot, name="plot")

Form = Annotated[Literal["png", "svg"], typer.Option(help="Of the figures.")]
Figures = Annotated[Path, typer.Option(help="The folder for the figures.")]


@plot.command("ranking")
def plot_ranking(
    report: Annotated[Path, typer.Argument(help="What 'cooper evaluate ranking --json' printed.")],
    output: Figures = Path("figures"),
    form: Form = "png",
) -> None:
    """Bars of hit@n and precision@n per ranking, and the aspects promoted over the rounds."""
    from langgraph_cooper.graph.cli.plot import draw_ranking

    draw_ranking(report, output, form)


@plot.command("training")
def plot_training(
    log: Annotated[Path, typer.Argument(help="A run's log, or the folder that holds it.")],
    output: Figures = Path("figures"),
    form: Form = "png",
) -> None:
    """Loss by step, and hit@n, precision@n and nDCG@5 on valid by epoch."""
    from langgraph_cooper.graph.cli.plot import draw_training

    draw_training(log, output, form)


@plot.command("targets")
def plot_targets(
    data: Annotated[Path, typer.Argument(help="Annotated training dialogues.")],
    task: Task = "esc",
    output: Figures = Path("figures"),
    form: Form = "png",
    clusters: Annotated[
        tuple[int, int] | None,
        typer.Option(help="The smallest and the largest number of clusters; none: N/50 to N/20."),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Sentence encoder of the states; none: all-MiniLM-L6-v2.")
    ] = None,
    seed: int = 0,
    paths: Annotated[int, typer.Option(min=0, help="Dialogues whose path is shown.")] = 4,
) -> None:
    """Silhouette over the number of clusters, and a map of the final states of each aspect."""
    from langgraph_cooper.graph.cli.plot import TargetPlot, draw_targets

    draw_targets(TargetPlot(load_task(task), data, output, form, clusters, encoder, seed, paths))


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
