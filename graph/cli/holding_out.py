"""Holds labelled data out of a training, and begins its run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

import typer

from langgraph_cooper.graph.cli.options import names_of
from langgraph_cooper.ranker.data.dialogue import DataError

HeldOut = Annotated[
    str, typer.Option(help="Sources, with commas between, that the model does not learn from.")
]
Seed = Annotated[int, typer.Option(help="Of everything random.", min=0, max=2**32 - 1)]


class Sourced(Protocol):
    """A row of labelled data."""

    @property
    def source(self) -> str:
        """Where it comes from."""

    @property
    def dialogue(self) -> str:
        """Its conversation."""


Row = TypeVar("Row", bound=Sourced)


def apart(
    rows: Sequence[Row], data: Path, held_out: str, every: int
) -> tuple[list[Row], list[Row]]:
    """Return the rows to learn from, and those that are held out.

    Args:
        rows: All of them.
        data: Their file, for a message.
        held_out: Sources, with commas between, that are held out whole.
        every: One conversation in so many of the others is held out.

    Raises:
        DataError: There is no such source, or one of the two would be empty.
    """
    from langgraph_cooper.graph.training.rows import one_in

    out = set(names_of(held_out))
    sources = sorted({row.source for row in rows})
    if unknown := sorted(out.difference(sources)):
        raise DataError(
            f"--held-out: {data} has no source {unknown[0]!r}, but {', '.join(sources)}"
        )
    away = [row.source in out or one_in(every, row.dialogue) for row in rows]
    learnt = [row for row, held in zip(rows, away, strict=True) if not held]
    kept = [row for row, held in zip(rows, away, strict=True) if held]
    if out == {*sources}:
        raise DataError("--held-out: name some of the sources, but not all")
    if not learnt or not kept:
        much = "nothing is left to learn from" if kept else "nothing is held out"
        raise DataError(f"{much}: name other sources by --held-out, or another --every")
    return learnt, kept


def run_folder(output: Path, *learnt: Any) -> Path:
    """Return the folder of an unfinished run: other data or settings begin another one."""
    digest = hashlib.sha256(json.dumps(learnt).encode()).hexdigest()[:12]
    return output.parent / f".{output.name}-run-{digest}"


def begun_run(output: Path, *learnt: Any) -> Path:
    """Make the folder of an unfinished run.

    Raises:
        DataError: It cannot be made, or `output` is a file.
    """
    run = run_folder(output, *learnt)
    make_folder(output, run)
    return run


def make_folder(output: Path, made: Path | None = None) -> None:
    """Make an output's folder, or another one beside it, before the long work.

    Raises:
        DataError: It cannot be made, or `output` is a file.
    """
    if output.exists() and not output.is_dir():
        raise DataError(f"{output} is no folder: name another --output")
    try:
        (made or output).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{output} cannot be made ({error.strerror}): name another --output"
        ) from None


@contextmanager
def going_on(run: Path) -> Iterator[None]:
    """Say on Ctrl-C what to do; little is lost."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"\nstopped; the same command goes on from {run}", err=True)
        raise
