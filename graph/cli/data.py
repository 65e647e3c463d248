"""`cooper data`: what dialogue files hold, their split, and where they come from."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from langgraph_cooper.graph.cli.dialogues import read_file
from langgraph_cooper.graph.cli.options import AsJson, Task
from langgraph_cooper.graph.cli.terminal import PlainConsole, json_line
from langgraph_cooper.prompts import load_task

PARTS = ("train", "valid", "test")
"""Names of the files of a split."""

app = typer.Typer(help="Look at dialogue data, split it, and fetch it.", no_args_is_help=True)


@app.command()
def stats(
    files: Annotated[list[Path], typer.Argument(help="ESConv, P4G, or your own JSONL.")],
    task: Task = "esc",
    json: AsJson = False,
) -> None:
    """Count dialogues, rounds, strategies and aspects."""
    from langgraph_cooper.ranker.data.dialogue import distinct
    from langgraph_cooper.ranker.data.report import statistics

    spec = load_task(task)
    found = [dialogue for file in files for dialogue in read_file(spec, file)]
    # Forms without ids of their own have a file's name and a line for an id, which may recur.
    found = [d.model_copy(update={"id": str(number)}) for number, d in enumerate(found)]
    dialogues = distinct(found, "the files")
    if len(dialogues) < len(found):  # they count once
        typer.echo(f"{len(found) - len(dialogues)} dialogues stand in two files.", err=True)
    figures = asdict(statistics(dialogues, spec))
    if json:
        typer.echo(json_line(figures))
        return
    table = Table("of all files", "value", show_header=False)
    for name, value in figures.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        for part, number in parts:
            shown = f"{number:,.2f}" if isinstance(number, float) else f"{number:,}"
            table.add_row(f"{name} {part}".strip(), shown)
    PlainConsole().print(table)


@app.command()
def split(
    data: Annotated[Path, typer.Option(help="ESConv, P4G, or your own JSONL.")],
    output: Annotated[Path, typer.Option(help="The folder for train, valid and test.jsonl.")],
    task: Task = "esc",
    shares: Annotated[
        str, typer.Option(help="Of train, valid and, if there is a third, test; they add up to 1.")
    ] = "0.8,0.1,0.1",
    seed: Annotated[int, typer.Option(help="Another one gives another split.")] = 0,
) -> None:
    """Divide the dialogues of a file into train, valid and test, by a hash of their ids."""
    from langgraph_cooper.ranker.data.dialogue import DataError
    from langgraph_cooper.ranker.data.jsonl import write_annotated
    from langgraph_cooper.ranker.data.splits import split_dialogues

    fractions = _fractions(shares)
    files = [output / f"{part}.jsonl" for part in PARTS[: len(fractions)]]
    for file in files:
        if file.exists():
            raise DataError(f"{file} already exists: choose another --output, or remove it")
    dialogues = read_file(load_task(task), data)
    parts = split_dialogues(dialogues, fractions, seed=seed)
    for file, part in zip(files, parts, strict=True):
        if not part:
            raise DataError(
                f"{data} holds too few dialogues ({len(dialogues)}) for the shares {shares}: none "
                f"is left for {file.name}; bring more, or change --shares"
            )
    for file, part in zip(files, parts, strict=True):
        write_annotated(file, part)
        typer.echo(f"{file}: {len(part):,} dialogues")


def _fractions(shares: str) -> list[float]:
    """Read the shares of a split."""
    try:
        found = [float(share) for share in shares.split(",")]
    except ValueError:
        found = []
    if len(found) not in (2, 3) or not min(found) > 0 or abs(sum(found) - 1) > 1e-6:
        raise typer.BadParameter(
            "--shares wants two or three numbers above 0 that add up to 1, such as 0.8,0.1,0.1, "
            f"not {shares!r}"
        )
    return found


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="esconv or p4g.")],
    output: Annotated[Path, typer.Option(help="The folder for the files.")],
) -> None:
    """Download a data set from its public home; files that are there already are kept."""
    from langgraph_cooper.ranker.data import download

    console = PlainConsole(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        jobs: dict[str, int] = {}

        def on_bytes(file: str, arrived: int, total: int | None) -> None:
            if file not in jobs:
                jobs[file] = progress.add_task(file, total=total)
            progress.update(progress.task_ids[jobs[file]], completed=arrived)

        files = download.fetch(name, output, on_bytes=on_bytes)
    for file in files.values():
        typer.echo(str(file))
