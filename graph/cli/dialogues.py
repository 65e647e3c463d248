"""Reading files of dialogues and annotating them, for several commands."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import typer

from langgraph_cooper.graph.cli.progress import progress_bar
from langgraph_cooper.prompts import TaskSpec

if TYPE_CHECKING:
    from langgraph_cooper.nodes.context import CooperContext
    from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue, Dialogue


def read_file(task: TaskSpec, file: Path) -> list[Dialogue]:
    """Read dialogues in any form, and report on standard error what the file holds."""
    from langgraph_cooper.ranker.data.reading import read_dialogues

    loaded = read_dialogues(file, task)
    typer.echo(loaded.report.sentence(), err=True)
    return loaded.dialogues


class Part(NamedTuple):
    """The dialogues that were taken from a file."""

    file: Path
    dialogues: Sequence[Dialogue]


def read_parts(
    task: TaskSpec, files: Sequence[Path], leave_out: Sequence[Path], limit: int | None
) -> list[Part]:
    """Read several files as one, each dialogue once, without those of other files.

    Two dialogues that share a mark of `known_by` are the same. Dialogues without utterances are
    left out. Standard error tells how many are left out, and why.

    Raises:
        DataError: Two different dialogues have the same id.
        TrainingError: Nothing is left.
    """
    from langgraph_cooper.ranker.data.dialogue import DataError, known_by
    from langgraph_cooper.ranker.training.config import TrainingError

    out = {mark for file in leave_out for each in read_file(task, file) for mark in known_by(each)}
    met: set[str] = set()
    ids: dict[str, Path] = {}
    parts, room, left, empty = [], limit, 0, 0
    twice: list[str] = []
    for file in files:
        new = []
        for each in read_file(task, file):
            marks = known_by(each)
            if not each.utterances:
                empty += 1
            elif not out.isdisjoint(marks):
                left += 1
            elif met.isdisjoint(marks):
                if each.id in ids:
                    raise DataError(
                        f"two different dialogues have the id {each.id!r}, in {ids[each.id]} and "
                        f"in {file}: rename one, or one of the files"
                    )
                met |= marks
                ids[each.id] = file
                new.append(each)
            else:
                twice.append(each.id)
        parts.append(Part(file, new[:room]))
        room = room and room - len(parts[-1].dialogues)
    if leave_out:
        typer.echo(f"{left:,} dialogues are left out: they are to be measured on", err=True)
    if empty:
        typer.echo(f"{empty:,} dialogues without utterances are left out", err=True)
    if twice:
        typer.echo(
            f"{len(twice):,} dialogues are there twice and are taken once, such as {twice[0]!r}",
            err=True,
        )
    if not any(part.dialogues for part in parts):
        names = " and ".join(map(str, files))
        raise TrainingError(
            f"{names}: every dialogue is empty or one of those to leave out: name other files "
            "with --data"
        )
    return [part for part in parts if part.dialogues]


def tracked_states(task: TaskSpec, dialogues: Sequence[Dialogue], file: Path) -> dict[str, str]:
    """Let the offline trackers say what is the matter: dialogue -> its final states in one text."""
    annotate_into(task, dialogues, file)
    found = annotated_of(read_file(task, file))
    texts = {each.id: dict.fromkeys(filter(None, each.final_states.values())) for each in found}
    return {name: " ".join(states) for name, states in texts.items()}


def annotated_of(dialogues: Sequence[Dialogue]) -> list[AnnotatedDialogue]:
    """Return those dialogues that are annotated."""
    from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue

    return [d for d in dialogues if isinstance(d, AnnotatedDialogue)]


def annotate_into(
    task: TaskSpec,
    dialogues: Sequence[Dialogue],
    out: Path,
    *,
    model: str | None = None,
    at_once: int = 2,
    limits: CooperContext | None = None,
) -> None:
    """Annotate dialogues into a file; tell the cost before, and show a bar meanwhile."""
    from langgraph_cooper.graph.annotation.annotate import annotate, unfinished

    typer.echo(annotation_cost(task, unfinished(dialogues, task, out, model), model), err=True)
    with _one_thread(), progress_bar(f"annotating into {out.name}") as progress:
        job = progress.add_task("dialogues", total=len(dialogues))
        work = annotate(
            dialogues,
            task,
            out,
            model=model,
            at_once=at_once,
            limits=limits,
            done=lambda number: progress.advance(job, number),
        )
        result = asyncio.run(work)
    said = f"{out}: {result.found + result.made:,} dialogues, {result.made:,} of them new"
    if result.relabelled:
        said += f"; {result.relabelled:,} that were there got the data's present labels"
    if result.filled:
        said += f"; {result.filled:,} candidates are the bank's, as {model} gave too few"
    typer.echo(said, err=True)


def annotation_cost(task: TaskSpec, dialogues: Sequence[Dialogue], model: str | None) -> str:
    """Return what annotating these dialogues takes, in one sentence."""
    turns = sum(len(dialogue.system_turns) for dialogue in dialogues)
    work = f"{len(dialogues):,} dialogues with {turns:,} system turns are to be annotated"
    if model is None:
        return f"{work}, offline: no calls"
    from langgraph_cooper.graph.annotation.cost import estimate_annotation

    return f"{work}: {estimate_annotation(dialogues, task).sentence(model)}"


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run torch on one thread: several agents share the cores, and more threads only wait."""
    import torch

    from langgraph_cooper.ranker.model.computing import compute

    before = compute(torch.get_num_threads)
    compute(lambda: torch.set_num_threads(1))
    try:
        yield
    finally:
        compute(lambda: torch.set_num_threads(before))


def annotated_or_made(
    task: TaskSpec, file: Path, dialogues: Sequence[Dialogue]
) -> list[AnnotatedDialogue]:
    """Return the annotated dialogues; offline agents annotate a file that has none."""
    from langgraph_cooper.ranker.data.jsonl import read_annotated

    if annotated := annotated_of(dialogues):
        return annotated
    with TemporaryDirectory() as folder:
        made = Path(folder) / f"{file.stem}.jsonl"
        annotate_into(task, dialogues, made)
        return read_annotated(made)
