"""`cooper plot`: figures of an evaluation, of a training run, and of target states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from langgraph_cooper.graph.cli.learn import read_file
from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue, DataError
from langgraph_cooper.ranker.data.jsonl import parse_json, read_json_lines, read_text
from langgraph_cooper.ranker.model.config import DEFAULT_ENCODER

if TYPE_CHECKING:
    from langgraph_cooper.ranker.data.labels import Encode
    from langgraph_cooper.ranker.plots.targets import StateMap
    from langgraph_cooper.ranker.training.targets import TargetStates

LOGS = ("training_log.jsonl", "log.jsonl")
"""In a checkpoint's folder, and in that of a run under way."""

PATH_LENGTH = 4
"""Distinct states, at least, of a dialogue whose path is shown."""


@dataclass(frozen=True)
class TargetPlot:
    """What `cooper plot targets` was asked for; `graph.cli.app` says what each means."""

    task: TaskSpec
    data: Path
    output: Path
    form: str
    clusters: tuple[int, int] | None
    encoder: str | None
    seed: int
    paths: int


def draw_ranking(file: Path, output: Path, form: str) -> None:
    """Draws what an evaluation found."""
    from langgraph_cooper.ranker.plots import draw_report

    report: Any = parse_json(read_text(file), str(file))
    for drawn in draw_report(report, output, form=form):
        typer.echo(drawn)


def draw_training(log: Path, output: Path, form: str) -> None:
    """Draws how a run went, or goes."""
    from langgraph_cooper.ranker.plots import draw_log

    if log.is_dir():
        log = next((log / name for name in LOGS if (log / name).is_file()), log / LOGS[0])
    records = [record for _, record in read_json_lines(log)]
    typer.echo(draw_log(records, output, form=form))


def draw_targets(options: TargetPlot) -> None:
    """Clusters final states as training does, and draws how well they cluster and where they lie.

    The same dialogues, encoder, range and seed give the target states of the checkpoint.
    """
    from langgraph_cooper.ranker.model.encoder import load_encoder
    from langgraph_cooper.ranker.plots import check_plots, draw_silhouettes, draw_states
    from langgraph_cooper.ranker.training.targets import find_targets

    check_plots(options.output)
    task = options.task
    read = read_file(task, options.data)
    dialogues = [d for d in read if isinstance(d, AnnotatedDialogue)]
    if not dialogues:
        raise DataError(f"{options.data} is not annotated: run 'cooper annotate' on it first")
    encode = load_encoder(options.encoder or DEFAULT_ENCODER).encode
    low, high = options.clusters or (0, 0)
    ks = range(low, high + 1) if options.clusters else None
    targets = []
    for name in task.aspect_names:
        finals = [dialogue.final_states.get(name, "") for dialogue in dialogues]
        targets.append(find_targets(name, finals, encode, ks=ks, seed=options.seed))
    chosen = _some(dialogues, task, options.paths, options.seed)
    maps = [_map(target, dialogues, chosen, encode) for target in targets]
    typer.echo(draw_silhouettes(targets, options.output, form=options.form))
    note = f" (task {task.name}, {len(dialogues):,} dialogues)"
    typer.echo(draw_states(maps, options.output, form=options.form, note=note))


def _some(
    dialogues: Sequence[AnnotatedDialogue], task: TaskSpec, count: int, seed: int
) -> list[AnnotatedDialogue]:
    """A few dialogues, drawn by seed, whose states change often enough to show a way."""
    moving = [
        dialogue
        for dialogue in dialogues
        if all(len(set(_states(dialogue, name))) >= PATH_LENGTH for name in task.aspect_names)
    ]
    drawn = np.random.default_rng(seed).permutation(len(moving))[:count]
    return [moving[position] for position in sorted(drawn.tolist())]


def _states(dialogue: AnnotatedDialogue, aspect: str) -> list[str]:
    """The aspect's states in order, the final one last; empty ones have no place on a map."""
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
