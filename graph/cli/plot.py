"""`cooper plot`: figures of an evaluation, of a training run, and of target states."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langgraph_cooper.graph.cli.dialogues import annotated_of, read_file
from langgraph_cooper.graph.cli.options import Encoder, Figures, Form, Task
from langgraph_cooper.prompts import TaskSpec, load_task

if TYPE_CHECKING:
    from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue
    from langgraph_cooper.ranker.data.labels import Encode
    from langgraph_cooper.ranker.plots.targets import StateMap
    from langgraph_cooper.ranker.training.targets import TargetStates

LOGS = ("training_log.jsonl", "log.jsonl")
"""In a checkpoint's folder, and in that of a run under way."""

PATH_LENGTH = 4
"""Minimum number of distinct states of a dialogue whose path is shown."""

app = typer.Typer(help="Draw figures.", no_args_is_help=True)


@app.command()
def ranking(
    report: Annotated[Path, typer.Argument(help="What 'cooper evaluate ranking --json' printed.")],
    output: Figures = Path("figures"),
    form: Form = "png",
) -> None:
    """Bars of hit@n and precision@n per ranking, and the aspects promoted over the rounds."""
    from langgraph_cooper.ranker.data.jsonl import parse_json, read_text
    from langgraph_cooper.ranker.plots import draw_report

    measured: Any = parse_json(read_text(report), str(report))
    for drawn in draw_report(measured, output, form=form):
        typer.echo(drawn)


@app.command()
def generation(
    report: Annotated[
        Path, typer.Argument(help="What 'cooper evaluate generation --json' printed.")
    ],
    output: Figures = Path("figures"),
    form: Form = "png",
) -> None:
    """The aspects that systems put first over the rounds, beside people's."""
    from langgraph_cooper.ranker.data.jsonl import parse_json, read_text
    from langgraph_cooper.ranker.plots import draw_first_aspects

    measured: Any = parse_json(read_text(report), str(report))
    typer.echo(draw_first_aspects(measured, output, form=form))


@app.command()
def conversations(
    report: Annotated[
        Path, typer.Argument(help="What 'cooper evaluate conversations --json' printed.")
    ],
    output: Figures = Path("figures"),
    form: Form = "png",
) -> None:
    """Aspects and progress over the rounds of conversations, per system."""
    from langgraph_cooper.ranker.data.jsonl import parse_json, read_text
    from langgraph_cooper.ranker.plots import draw_conversations

    measured: Any = parse_json(read_text(report), str(report))
    for drawn in draw_conversations(measured, output, form=form):
        typer.echo(drawn)


@app.command()
def wins(
    report: Annotated[Path, typer.Argument(help="What judge or ratings printed with --json.")],
    output: Figures = Path("figures"),
    form: Form = "png",
) -> None:
    """Wins, ties and losses per dimension, by a judge or by people."""
    from langgraph_cooper.ranker.data.jsonl import parse_json, read_text
    from langgraph_cooper.ranker.plots import draw_wins

    judged: Any = parse_json(read_text(report), str(report))
    typer.echo(draw_wins(judged, output, form=form))


@app.command()
def training(
    log: Annotated[Path, typer.Argument(help="A run's log, or the folder that holds it.")],
    output: Figures = Path("figures"),
    form: Form = "png",
) -> None:
    """Loss by step, and hit@n, precision@n and nDCG@5 on valid by epoch."""
    from langgraph_cooper.ranker.data.jsonl import read_json_lines
    from langgraph_cooper.ranker.plots import draw_log

    if log.is_dir():
        log = next((log / name for name in LOGS if (log / name).is_file()), log / LOGS[0])
    records = [record for _, record in read_json_lines(log)]
    typer.echo(draw_log(records, output, form=form))


@app.command()
def targets(
    data: Annotated[Path, typer.Argument(help="Annotated training dialogues.")],
    task: Task = "esc",
    output: Figures = Path("figures"),
    form: Form = "png",
    clusters: Annotated[
        tuple[int, int] | None,
        typer.Option(help="The smallest and the largest number of clusters; none: N/50 to N/20."),
    ] = None,
    encoder: Encoder = None,
    seed: int = 0,
    paths: Annotated[int, typer.Option(min=0, help="Dialogues whose path is shown.")] = 4,
) -> None:
    """Silhouette over the number of clusters, and a map of the final states of each aspect."""
    from langgraph_cooper.ranker.data.dialogue import DataError
    from langgraph_cooper.ranker.model.config import DEFAULT_ENCODER
    from langgraph_cooper.ranker.model.encoder import load_encoder
    from langgraph_cooper.ranker.plots import check_plots, draw_silhouettes, draw_states
    from langgraph_cooper.ranker.training.targets import find_targets

    check_plots(output)
    spec = load_task(task)
    dialogues = annotated_of(read_file(spec, data))
    if not dialogues:
        raise DataError(f"{data} is not annotated: run 'cooper annotate' on it first")
    encode = load_encoder(encoder or DEFAULT_ENCODER).encode
    ks = range(clusters[0], clusters[1] + 1) if clusters else None
    # As in training: the same dialogues, encoder, range and seed give the checkpoint's targets.
    found = []
    for name in spec.aspect_names:
        finals = [dialogue.final_states.get(name, "") for dialogue in dialogues]
        found.append(find_targets(name, finals, encode, ks=ks, seed=seed))
    chosen = _some(dialogues, spec, paths, seed)
    maps = [_map(target, dialogues, chosen, encode) for target in found]
    typer.echo(draw_silhouettes(found, output, form=form))
    note = f" (task {spec.name}, {len(dialogues):,} dialogues)"
    typer.echo(draw_states(maps, output, form=form, note=note))


def _some(
    dialogues: Sequence[AnnotatedDialogue], task: TaskSpec, count: int, seed: int
) -> list[AnnotatedDialogue]:
    """Draw a few dialogues by seed, among those whose states change often enough for a path."""
    import numpy as np

    moving = [
        dialogue
        for dialogue in dialogues
        if all(len(set(_states(dialogue, name))) >= PATH_LENGTH for name in task.aspect_names)
    ]
    drawn = np.random.default_rng(seed).permutation(len(moving))[:count]
    return [moving[position] for position in sorted(drawn.tolist())]


def _states(dialogue: AnnotatedDialogue, aspect: str) -> list[str]:
    """Return the aspect's states in order, the final one last, without empty ones."""
    states = [turn.states.get(aspect, "") for turn in dialogue.turns]
    return [text for text in [*states, dialogue.final_states.get(aspect, "")] if text.strip()]


def _map(
    target: TargetStates,
    dialogues: Sequence[AnnotatedDialogue],
    chosen: Sequence[AnnotatedDialogue],
    encode: Encode,
) -> StateMap:
    from langgraph_cooper.ranker.plots.targets import StateMap

    finals = [d.final_states.get(target.aspect, "") for d in dialogues]
    return StateMap(
        aspect=target.aspect,
        finals=encode([text for text in finals if text.strip()]),
        centroids=target.centroids,
        paths=[encode(_states(dialogue, target.aspect)) for dialogue in chosen],
    )
