"""`cooper data`: what dialogue files hold, and where they come from."""

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

app = typer.Typer(help="Look at dialogue data, and fetch it.", no_args_is_help=True)


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
