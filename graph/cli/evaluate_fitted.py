"""`cooper evaluate prior` and `calibration`: what is fitted to a ranker, and kept beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from langgraph_cooper.graph.cli.dialogues import annotated_of, annotated_or_made, read_file
from langgraph_cooper.graph.cli.options import Task
from langgraph_cooper.graph.cli.terminal import PlainConsole, short
from langgraph_cooper.prompts import load_task


def prior(
    train: Annotated[Path, typer.Option(help="The dialogues the ranker was trained on.")],
    valid: Annotated[Path, typer.Option(help="Those its epoch was chosen on.")],
    task: Task = "esc",
    ranker: Annotated[
        str | None, typer.Option(help="A checkpoint's folder; none: the task's shipped one.")
    ] = None,
) -> None:
    """Add P(aspect | round) and the similarity's weight to a checkpoint that lacks them."""
    from langgraph_cooper.ranker.evaluation.aspect_prior import FILE, fit_aspect_prior
    from langgraph_cooper.ranker.load import ranker_loader, shipped_checkpoint
    from langgraph_cooper.ranker.model.checkpoint import open_checkpoint

    spec = load_task(task)
    folder = open_checkpoint(ranker or shipped_checkpoint(spec) or "").folder
    counted, tuned = read_file(spec, train), read_file(spec, valid)
    encode = ranker_loader(spec, ranker)().embed
    found = fit_aspect_prior(counted, annotated_or_made(spec, valid, tuned), spec, encode)
    found.save(folder)
    assert found.tuning
    typer.echo(
        f"{folder / FILE}: weight {found.weight:g}, tuned on {found.tuning.turns:,} turns; the "
        f"commonest aspect is {found.majority_aspect}"
    )


def calibration(
    train: Annotated[Path, typer.Option(help="The annotated dialogues it was trained on.")],
    task: Task = "esc",
    ranker: Annotated[
        str | None, typer.Option(help="A checkpoint's folder; none: the task's shipped one.")
    ] = None,
    target: Annotated[
        float,
        typer.Option(min=0, max=1, help="Distance to what people take up that is asked for."),
    ] = 0.15,
    strength: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Strength; none: the weakest that reaches the target."),
    ] = None,
    default: Annotated[
        bool,
        typer.Option(
            "--default/--no-default", help="Whether conversations are calibrated unasked."
        ),
    ] = True,
) -> None:
    """Fit a checkpoint's calibrated coordination to its training dialogues."""
    from langgraph_cooper.ranker.load import ranker_loader, shipped_checkpoint
    from langgraph_cooper.ranker.model.calibration import FILE
    from langgraph_cooper.ranker.model.checkpoint import open_checkpoint
    from langgraph_cooper.ranker.trained import TrainedRanker
    from langgraph_cooper.ranker.training.calibration import cross_fitted, fit_calibration

    spec = load_task(task)
    checkpoint = ranker or shipped_checkpoint(spec)
    if checkpoint is None:
        raise typer.BadParameter(f"there is no trained ranker for the task {spec.name!r}")
    folder = open_checkpoint(checkpoint).folder
    dialogues = annotated_of(read_file(spec, train))
    measured = ranker_loader(spec, ranker, calibrated=False)()  # a damaged one is made anew
    assert isinstance(measured, TrainedRanker)
    found = fit_calibration(cross_fitted(measured, dialogues, spec), target=target)
    chosen: dict[str, Any] = {"default": default}
    if strength is not None:
        chosen["strength"] = strength
    found = found.model_copy(update=chosen)
    found.save(folder)
    assert found.tuning
    table = Table("strength", "distance", "precision@1")
    for step, value in found.tuning.distances.items():
        table.add_row(f"{step:g}", short(value, 3), short(found.tuning.precisions[step], 3))
    PlainConsole().print(table)
    typer.echo(
        f"{folder / FILE}: strength {found.strength:g}, fitted to {found.tuning.turns:,} turns of "
        f"{found.tuning.dialogues:,} dialogues; the table is of dialogues that the offsets were "
        "not fitted to"
    )
