"""What the commands that read kept conversations share: their task, what is missing, outputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

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


class Talks(NamedTuple):
    """A file's conversations.

    Attributes:
        task: Their task.
        rows: The conversations.
        redacted: Whether their words were taken out.
    """

    task: TaskSpec
    rows: list[Conversation]
    redacted: bool


def read_talks(file: Path, given: str | None) -> Talks:
    """Read a file's conversations and their task; tell if the run that made it was stopped.

    Raises:
        DataError: The file cannot be read, or holds something else.
    """
    from langgraph_cooper.graph.evaluation.interactive.redact import REDACTED
    from langgraph_cooper.graph.evaluation.interactive.rows import read_conversations

    settings, rows = read_conversations(file)
    tell_missing(file, len(rows))
    return Talks(task_of(str(settings["task"]), given), rows, bool(settings.get(REDACTED)))


def read_words(file: Path, given: str | None) -> Talks:
    """Read conversations that are judged by their words.

    Raises:
        DataError: The file cannot be read, holds something else, or has no words.
    """
    from langgraph_cooper.ranker.data.dialogue import DataError

    talks = read_talks(file, given)
    if talks.redacted:
        raise DataError(f"{file} is redacted: it has no words to compare")
    return talks


def tell_missing(file: Path, held: int) -> None:
    """Tell how many conversations of the last run's plan are not there: less is then compared."""
    from langgraph_cooper.graph.evaluation.kept import planned_rows

    planned = planned_rows(file) or 0
    if planned > held:
        typer.echo(
            f"{file} has {held:,} of {planned:,} planned conversations: the command that made it "
            "goes on with it",
            err=True,
        )


def keep_input(output: Path | None, option: str, inputs: Sequence[Path]) -> None:
    """Refuse an output that would take the place of what is read."""
    for file in inputs:
        if output and (output.resolve() == file.resolve() or _are_one(output, file)):
            raise typer.BadParameter(
                f"{option}: {file} is read and would be lost: name another file"
            )


def _are_one(output: Path, file: Path) -> bool:
    """Return whether two paths name one file, by a link or in another spelling."""
    return output.exists() and file.exists() and output.samefile(file)
