"""From dialogues to a checkpoint: `cooper annotate` and `train`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from pydantic import ValidationError
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

from langgraph_cooper.graph.annotation.annotate import DEADLINE, annotate, unfinished
from langgraph_cooper.prompts import TaskSpec, load_task
from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue, DataError, Dialogue
from langgraph_cooper.ranker.data.jsonl import write_annotated
from langgraph_cooper.ranker.data.reading import read_dialogues
from langgraph_cooper.ranker.data.splits import split_dialogues

if TYPE_CHECKING:
    from langgraph_cooper.ranker.training.config import TrainConfig

VALID_SHARE = 0.1  # of the dialogues, where no file for choosing the epoch is given


@dataclass(frozen=True)
class TrainOptions:
    """What `cooper train` was asked for; the rest of `TrainConfig` keeps its defaults."""

    task: str
    data: Path
    valid: Path | None
    output: Path
    settings: dict[str, Any]
    """By the names of `TrainConfig`; None: its default."""


@dataclass(frozen=True)
class AnnotateOptions:
    """What `cooper annotate` was asked for."""

    task: str
    data: Path
    output: Path
    model: str | None
    at_once: int
    deadline: float
    limit: int | None
    dry_run: bool


def run_annotation(options: AnnotateOptions) -> None:
    """Annotates the dialogues of a file; what stands in the output already is not done again."""
    task = load_task(options.task)
    dialogues = read_file(task, options.data)
    if options.limit is not None and options.limit < len(dialogues):
        typer.echo(f"only the first {options.limit:,} dialogues are annotated", err=True)
        dialogues = dialogues[: options.limit]
    if options.dry_run:
        typer.echo(
            _cost(task, unfinished(dialogues, task, options.output, options.model), options.model)
        )
        return
    annotate_into(
        task,
        dialogues,
        options.output,
        model=options.model,
        at_once=options.at_once,
        deadline=options.deadline,
    )


def run_training(options: TrainOptions) -> Path:
    """Trains a ranker from annotated or raw dialogues; goes on where it was stopped.

    Raw dialogues are annotated first, by the offline agents, into `<output>.training/`.
    """
    # Imported here: it brings torch.
    from langgraph_cooper.ranker.training.config import TrainingError
    from langgraph_cooper.ranker.training.trainer import train

    task = load_task(options.task)
    config = _config(options)
    if options.output.exists():
        raise TrainingError(
            f"{options.output} already exists: choose another --output, or remove it"
        )
    files = _annotated_files(task, options.data, options.valid, config.work)
    config = config.model_copy(update=files)
    with _logged():  # the training has a bar of its own
        folder = train(config)
    typer.echo(f"the checkpoint is in {folder}; talk with it: cooper chat --ranker {folder}")
    return folder


def _config(options: TrainOptions) -> TrainConfig:
    """The configuration: what was not asked for keeps its default.

    Raises:
        TrainingError: A value is out of range.
    """
    from langgraph_cooper.ranker.training.config import TrainConfig, TrainingError
    from langgraph_cooper.ranker.training.losses import Objective

    settings = {name: value for name, value in options.settings.items() if value is not None}
    if settings.get("objective") == "paper":
        settings["objective"] = Objective.paper()
    try:
        return TrainConfig(
            task=options.task,
            train=options.data,
            valid=options.valid or options.data,
            output=options.output,
            **settings,
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = "-".join(str(step) for step in first["loc"]).replace("_", "-")
        said = first["msg"].removeprefix("Value error, ")
        raise TrainingError(f"--{name}: {said}" if name else f"--{said}") from None


def _annotated_files(task: TaskSpec, data: Path, valid: Path | None, work: Path) -> dict[str, Path]:
    """The annotated JSONL of both splits; made, where a file is none yet."""
    from langgraph_cooper.ranker.training.setup import check_apart

    sets = {"train": read_file(task, data)}
    if valid:
        sets["valid"] = read_file(task, valid)
        check_apart(sets["train"], sets["valid"], data, valid)  # before the long work
    else:
        shares = (1 - VALID_SHARE, VALID_SHARE)
        sets["train"], sets["valid"] = split_dialogues(sets["train"], shares, seed=0)
        if not sets["valid"] or not sets["train"]:
            raise DataError(
                f"{data} holds too few dialogues ({len(sets['train'])}) to keep a tenth of them "
                "for choosing the epoch: name a file for that with --valid, or bring more"
            )
    work.mkdir(parents=True, exist_ok=True)
    files = {name: work / f"{name}.jsonl" for name in sets}
    for name, dialogues in sets.items():
        if any(isinstance(dialogue, AnnotatedDialogue) for dialogue in dialogues):
            write_annotated(files[name], dialogues)
        else:
            annotate_into(task, dialogues, files[name], model=None, at_once=2)
    return files


def read_file(task: TaskSpec, file: Path) -> list[Dialogue]:
    """The dialogues of a file in any form; what it holds is said on standard error."""
    loaded = read_dialogues(file, task)
    typer.echo(loaded.report.sentence(), err=True)
    return loaded.dialogues


def annotate_into(
    task: TaskSpec,
    dialogues: Sequence[Dialogue],
    out: Path,
    *,
    model: str | None,
    at_once: int,
    deadline: float = DEADLINE,
) -> None:
    """Annotates dialogues into a file, with a word on the cost before and a bar meanwhile."""
    waiting = unfinished(dialogues, task, out, model)
    typer.echo(_cost(task, waiting, model), err=True)
    with _one_thread(), progress_bar(f"annotating into {out.name}") as progress:
        job = progress.add_task("dialogues", total=len(dialogues))
        work = annotate(
            dialogues,
            task,
            out,
            model=model,
            at_once=at_once,
            deadline=deadline,
            done=lambda number: progress.advance(job, number),
        )
        result = asyncio.run(work)
    said = f"{out}: {result.found + result.made:,} dialogues, {result.made:,} of them new"
    if result.relabelled:
        said += f"; {result.relabelled:,} that were there got the data's present labels"
    if result.filled:
        said += f"; {result.filled:,} candidates are the bank's, as {model} gave too few"
    typer.echo(said, err=True)


def _cost(task: TaskSpec, dialogues: Sequence[Dialogue], model: str | None) -> str:
    """What annotating these dialogues takes, in one sentence."""
    turns = sum(len(dialogue.system_turns) for dialogue in dialogues)
    work = f"{len(dialogues):,} dialogues with {turns:,} system turns are to be annotated"
    if model is None:
        return f"{work}, offline: no calls"
    from langgraph_cooper.graph.annotation.cost import estimate_annotation

    return f"{work}: {estimate_annotation(dialogues, task).sentence(model)}"


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
def progress_bar(title: str) -> Iterator[Progress]:
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
