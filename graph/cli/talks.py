"""What the commands that read kept conversations share: their task, what is missing, outputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from langgraph_cooper.prompts import TaskSpec, UnknownTaskError, load_task

if TYPE_CHECKING:
    from langgraph_cooper.graph.evaluation.interactive.rows import Conversation


def task_of(held: str, given: str | None) -> TaskSpec:
    """Return the conversations' task.

    Args:
        held: Its name, as their file has it.
        given: What `--task` says.
    """
    try:
        spec = load_task(given or held)
    except UnknownTaskError:
        if given:
            raise
        raise typer.BadParameter(
            f"the conversations are of the task {held!r}: name its file with --task"
        ) from None
    if spec.name != held:
        raise typer.BadParameter(
            f"--task: the conversations are of the task {held!r} and not of {spec.name!r}: leave "
            "it out, or name their task"
        )
    return spec


def read_talks(file: Path, given: str | None) -> tuple[TaskSpec, list[Conversation]]:
    """Read a file's conversations and their task; tell if the run that made it was stopped.

    Raises:
        DataError: The file cannot be read, or holds something else.
    """
    from langgraph_cooper.graph.evaluation.interactive.rows import read_conversations

    settings, rows = read_conversations(file)
    tell_missing(file)
    return task_of(str(settings["task"]), given), rows


def tell_missing(file: Path) -> None:
    """Tell how many conversations of a file's plan are not there: less is then compared."""
    from langgraph_cooper.graph.evaluation.interactive.rows import CONVERSATIONS
    from langgraph_cooper.graph.evaluation.kept import open_rows, planned_rows

    planned, held = planned_rows(file) or 0, len(open_rows(file, CONVERSATIONS)[1])
    if planned > held:
        typer.echo(
            f"{file} has {held:,} of {planned:,} planned conversations: the command that made it "
            "goes on with it",
            err=True,
        )


def keep_input(output: Path | None, option: str, inputs: Sequence[Path]) -> None:
    """Refuse an output that would take the place of what is read."""
    for file in inputs:
        if output and output.resolve() == file.resolve():
            raise typer.BadParameter(f"{option}: {file} is read and would be lost: name another")


def named(given: str) -> list[str]:
    """Return the names in an option of names by commas."""
    return [name.strip() for name in given.split(",") if name.strip()]
