"""`cooper train-answers`: from graded replies to what weighs prepared answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from langgraph_cooper.graph.cli.train_guard import run_folder
from langgraph_cooper.prompts import load_task


def train_answers(
    data: Annotated[Path, typer.Option(help="Graded replies to messages (.jsonl).")],
    output: Annotated[Path, typer.Option(help="The folder of the model.")],
    held_out: Annotated[
        str, typer.Option(help="Sources, with commas between, that the model does not learn from.")
    ] = "",
    every: Annotated[
        int,
        typer.Option(
            help="Of the other sources one conversation in so many is not learnt from either. On "
            "the prepared answers that are held out the model is measured, and stacked with the "
            "regression.",
            min=2,
        ),
    ] = 6,
    epochs: Annotated[float, typer.Option(help="Passes over the replies.", min=0.1)] = 4.0,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 1,
) -> None:
    """Train the cross-encoder that weighs prepared answers; stopped, it goes on."""
    # Imported here: it brings torch.
    import numpy as np

    from langgraph_cooper.graph.training.answers import (
        RATE,
        fit_stacking,
        prepared_among,
        read_all,
        train_cross_encoder,
        write_cross_encoder,
    )
    from langgraph_cooper.graph.training.graded import one_in, read_graded
    from langgraph_cooper.nodes.offline.answers import Answers
    from langgraph_cooper.nodes.offline.cross_encoder import CrossEncoderConfig
    from langgraph_cooper.ranker.data.dialogue import DataError
    from langgraph_cooper.ranker.model.encoder import load_encoder

    graded = read_graded(data)
    out = {name.strip() for name in held_out.split(",") if name.strip()}
    sources = ", ".join(sorted({each.source for each in graded}))
    if unknown := sorted(out - {each.source for each in graded}):
        raise DataError(f"--held-out: {data} has no source {unknown[0]!r}, but {sources}")
    apart = [each.source in out or one_in(every, each.dialogue) for each in graded]
    held = [each for each, away in zip(graded, apart, strict=True) if away]
    learnt = [each for each, away in zip(graded, apart, strict=True) if not away]
    if not learnt:
        raise DataError("--held-out: name some of the sources, but not all")
    answers = {
        name: Answers(load_task(name), load_encoder().encode)
        for name in sorted({each.task for each in graded})
    }
    nothing = [np.zeros((len(each.replies), 2), np.float32) for each in held]
    fit_stacking(prepared_among(held, nothing, answers))  # it would fail after the training, too
    form = CrossEncoderConfig(tasks=()).model_dump(mode="json")
    learnt_from = [each.model_dump(mode="json") for each in learnt]
    run = run_folder(output, learnt_from, seed, epochs, RATE, form)
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{output} cannot be made ({error.strerror}): name another --output"
        ) from None
    model = train_cross_encoder(learnt, run, seed=seed, epochs=epochs)
    found = prepared_among(held, read_all(model, held), answers)
    stacking, figures = fit_stacking(found)
    write_cross_encoder(model, output, stacking)
    told = ", ".join(f"{name} {auc:.3f}" for name, auc in figures.items())
    typer.echo(
        f"the model is in {output}; AUC on {len(found.accepted)} prepared answers that were "
        f"held out: {told}; the run in {run} is no longer needed"
    )
