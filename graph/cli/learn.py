"""From dialogues to a checkpoint: `cooper data`, `annotate`, `train` and `evaluate`."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from langgraph_cooper.graph.annotator import annotate
from langgraph_cooper.prompts import TaskSpec, load_task
from langgraph_cooper.ranker.annotated import (
    AnnotatedDialogue,
    Dialogue,
    read_annotated,
    write_annotated,
)
from langgraph_cooper.ranker.datasets import (
    read_dialogues,
    split_dialogues,
    statistics,
)
from langgraph_cooper.ranker.select import ranker_loader

VALID_SHARE = 0.1  # of the dialogues, where no file for choosing the epoch is given


@dataclass(frozen=True)
class TrainOptions:
    """What `cooper train` was asked for; the rest of `TrainConfig` keeps its defaults."""

    task: str
    data: Path
    valid: Path | None
    output: Path
    seed: int
    settings: dict[str, Any]


@dataclass(frozen=True)
class EvaluateOptions:
    """What `cooper evaluate ranking` was asked for."""

    task: str
    data: Path
    train: Path
    ranker: str | None
    weight: float


def show_statistics(task: TaskSpec, files: Sequence[Path], *, as_json: bool) -> None:
    """Prints what all files together hold."""
    dialogues = [dialogue for file in files for dialogue in _read(task, file)]
    found = asdict(statistics(dialogues, task))
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    table = Table("of all files", "value", show_header=False)
    for name, value in found.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        for part, number in parts:
            shown = f"{number:,.2f}" if isinstance(number, float) else f"{number:,}"
            table.add_row(f"{name} {part}".strip(), shown)
    Console().print(table)


def run_annotation(
    task: TaskSpec, source: Path, out: Path, *, model: str | None, at_once: int, limit: int | None
) -> None:
    """Annotates the dialogues of a file; what stands in `out` already is not done again."""
    _annotate(task, _read(task, source)[:limit], out, model=model, at_once=at_once)


def run_training(options: TrainOptions) -> Path:
    """Trains a ranker from annotated or raw dialogues; goes on where it was stopped.

    Raw dialogues are annotated first, by the offline agents, into `<output>.training/`.
    """
    # Imported here: it brings torch.
    from langgraph_cooper.ranker.training import TrainConfig, TrainingError, train

    task = load_task(options.task)
    files = {"train": options.data, "valid": options.valid or options.data}
    config = TrainConfig(
        task=options.task, **files, output=options.output, seed=options.seed, **options.settings
    )
    if options.output.exists():
        raise TrainingError(
            f"{options.output} already exists: choose another --output, or remove it"
        )
    files = _annotated_files(task, options.data, options.valid, config.work)
    config = config.model_copy(update=files)
    with _logged(), _bar("training") as progress:
        job = progress.add_task("steps", total=None)
        folder = train(config, on_step=lambda step: progress.update(job, completed=step))
    typer.echo(f"the checkpoint is in {folder}; talk with it: cooper chat --ranker {folder}")
    return folder


def _annotated_files(task: TaskSpec, data: Path, valid: Path | None, work: Path) -> dict[str, Path]:
    """The annotated JSONL of both splits; made, where a file is none yet."""
    sets = {"train": _read(task, data)}
    if valid:
        sets["valid"] = _read(task, valid)
    elif all(isinstance(dialogue, AnnotatedDialogue) for dialogue in sets["train"]):
        raise typer.BadParameter("annotated dialogues need --valid, an annotated file too")
    else:
        shares = (1 - VALID_SHARE, VALID_SHARE)
        sets["train"], sets["valid"] = split_dialogues(sets["train"], shares, seed=0)
    work.mkdir(parents=True, exist_ok=True)
    files = {name: work / f"{name}.jsonl" for name in sets}
    for name, dialogues in sets.items():
        if any(isinstance(dialogue, AnnotatedDialogue) for dialogue in dialogues):
            write_annotated(files[name], dialogues)
        else:
            _annotate(task, dialogues, files[name], model=None, at_once=2)
    return files


def _read(task: TaskSpec, file: Path) -> list[Dialogue]:
    loaded = read_dialogues(file, task)
    typer.echo(loaded.report.sentence(), err=True)
    return loaded.dialogues


def _annotate(
    task: TaskSpec, dialogues: Sequence[Dialogue], out: Path, *, model: str | None, at_once: int
) -> None:
    turns = sum(len(dialogue.system_turns) for dialogue in dialogues)
    if model:
        calls = 2 * len(task.aspects) * turns + len(task.aspects) * len(dialogues)
        typer.echo(f"{turns:,} turns need about {calls:,} calls of {model}", err=True)
    with _one_thread(), _bar(f"annotating into {out.name}") as progress:
        job = progress.add_task("dialogues", total=len(dialogues))
        asyncio.run(
            annotate(
                dialogues,
                task,
                out,
                model=model,
                at_once=at_once,
                done=lambda number: progress.advance(job, number),
            )
        )


def run_evaluation(options: EvaluateOptions, *, as_json: bool) -> None:
    """Measures a ranker on the turns of a file, beside rankings that learn next to nothing."""
    from langgraph_cooper.ranker.evaluation import evaluate_rankings, promoted_turns

    task = load_task(options.task)
    ranker = ranker_loader(task, options.ranker)()
    train = promoted_turns(_read(task, options.train), task)
    dialogues = _annotated_dialogues(task, options.data)
    with _bar("ranking") as progress:
        job = progress.add_task("turns", total=None)
        evaluation = evaluate_rankings(
            dialogues,
            task,
            ranker,
            train,
            weight=options.weight,
            progress=lambda done, total: progress.update(job, completed=done, total=total),
        )
    report = evaluation.report()
    if as_json:
        typer.echo(json.dumps(report))
    else:
        Console().print(_figures(report))


def _annotated_dialogues(task: TaskSpec, file: Path) -> list[AnnotatedDialogue]:
    """The dialogues of an annotated file; raw ones are annotated first, by the offline agents."""
    dialogues = _read(task, file)
    annotated = [d for d in dialogues if isinstance(d, AnnotatedDialogue)]
    if annotated:
        return annotated
    with TemporaryDirectory() as folder:
        made = Path(folder) / f"{file.stem}.jsonl"
        _annotate(task, dialogues, made, model=None, at_once=2)
        return read_annotated(made)


def _figures(report: dict[str, Any]) -> Table:
    title = f"{report['turns']:,} turns; p of COOPER against each, by bootstrap over dialogues"
    table = Table("ranking", "hit@1..5", "precision@1..5", "nDCG@5", "p hit@1, hit@3", title=title)
    for name, found in report["rankings"].items():
        p_values = report["p_values"].get(name, {})
        table.add_row(
            name,
            " ".join(f"{value:.3f}" for value in found["hit"]),
            " ".join(f"{value:.3f}" for value in found["precision"]),
            f"{found['ndcg@5']:.3f}",
            ", ".join(f"{p_values[m]:.4f}" for m in ("hit@1", "hit@3") if m in p_values),
        )
    return table


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch on one thread: several agents share the cores, and more only wait for one another."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _bar(title: str) -> Iterator[Progress]:
    """A progress bar on standard error, where that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, *times, console=console, disable=not console.is_terminal) as progress:
        yield progress


@contextmanager
def _logged() -> Iterator[None]:
    """What the training says of its stages goes to standard error."""
    logger = logging.getLogger("langgraph_cooper")
    handler = RichHandler(console=Console(stderr=True), show_path=False)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
