"""`cooper train answers`: from graded replies to what weighs prepared answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from langgraph_cooper.graph.cli.holding_out import HeldOut, Seed, apart, begun_run, going_on
from langgraph_cooper.prompts import load_task


def train_answers(
    data: Annotated[Path, typer.Option(help="Graded replies to messages (.jsonl).")],
    output: Annotated[Path, typer.Option(help="The folder of the model.")],
    held_out: HeldOut = "",
    every: Annotated[
        int,
        typer.Option(
            help="Of the other sources one conversation in so many is not learnt from either. On "
            "the prepared answers that are held out the model is measured, and stacked with the "
            "regression.",
            min=2,
        ),
    ] = 6,
    epochs: Annotated[
        float, typer.Option(help="Passes over the replies.", min=0.1, max=1_000)
    ] = 4.0,
    seed: Seed = 1,
) -> None:
    """Train the cross-encoder that weighs prepared answers; stopped, it goes on."""
    # Imported here: it brings torch.
    import numpy as np

    from langgraph_cooper.graph.training.adapting import write_pair_model
    from langgraph_cooper.graph.training.answers import (
        RATE,
        fit_stacking,
        prepared_among,
        read_all,
        train_cross_encoder,
    )
    from langgraph_cooper.graph.training.graded import read_graded
    from langgraph_cooper.nodes.offline.answers import Answers
    from langgraph_cooper.nodes.offline.cross_encoder import CrossEncoderForm
    from langgraph_cooper.ranker.model.encoder import load_encoder

    graded = read_graded(data)
    learnt, held = apart(graded, data, held_out, every)
    answers = {
        name: Answers(load_task(name), load_encoder().encode)
        for name in sorted({each.task for each in graded})
    }
    nothing = [np.zeros((len(each.replies), 2), np.float32) for each in held]
    fit_stacking(prepared_among(held, nothing, answers))  # it would fail after the training, too
    form = CrossEncoderForm(tasks=()).model_dump(mode="json")
    learnt_from = [each.model_dump(mode="json") for each in learnt]
    run = begun_run(output, learnt_from, seed, epochs, RATE, form)
    with going_on(run):
        model = train_cross_encoder(learnt, run, seed=seed, epochs=epochs)
    found = prepared_among(held, read_all(model, held), answers)
    stacking, figures = fit_stacking(found)
    write_pair_model(model, output, stacking=stacking)
    told = ", ".join(f"{name} {auc:.3f}" for name, auc in figures.items())
    typer.echo(
        f"the model is in {output}; AUC on {len(found.accepted)} prepared answers that were "
        f"held out: {told}; the run in {run} is no longer needed"
    )
