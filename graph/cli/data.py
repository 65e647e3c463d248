"""`cooper data`: what dialogue files hold, and where they come from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from langgraph_cooper.graph.cli.learn import read_file
from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.ranker.data.dialogue import distinct
from langgraph_cooper.ranker.data.download import fetch
from langgraph_cooper.ranker.data.report import statistics


def show_statistics(task: TaskSpec, files: Sequence[Path], *, as_json: bool) -> None:
    """Prints what all files together hold; a dialogue that stands in two of them counts once."""
    found = [dialogue for file in files for dialogue in read_file(task, file)]
    # Forms without ids of their own have a file's name and a line for an id, which may recur.
    found = [d.model_copy(update={"id": str(number)}) for number, d in enumerate(found)]
    dialogues = distinct(found, "the files")
    if len(dialogues) < len(found):
        typer.echo(f"{len(found) - len(dialogues)} dialogues stand in two files.", err=True)
    figures = asdict(statistics(dialogues, task))
    if as_json:
        typer.echo(json.dumps(figures, ensure_ascii=False))
        return
    table = Table("of all files", "value", show_header=False)
    for name, value in figures.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        for part, number in parts:
            shown = f"{number:,.2f}" if isinstance(number, float) else f"{number:,}"
            table.add_row(f"{name} {part}".strip(), shown)
    Console().print(table)


def run_fetch(name: str, folder: Path) -> None:
    """Downloads a data set and prints where its files lie."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        jobs: dict[str, int] = {}

        def on_bytes(file: str, arrived: int, total: int | None) -> None:
            if file not in jobs:
                jobs[file] = progress.add_task(file, total=total)
            progress.update(progress.task_ids[jobs[file]], completed=arrived)

        files = fetch(name, folder, on_bytes=on_bytes)
    for file in files.values():
        typer.echo(str(file))
