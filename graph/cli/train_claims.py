"""`cooper train claims`: from labelled replies to the model that tells claims of a life."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from langgraph_cooper.graph.cli.holding_out import HeldOut, Seed, apart, begun_run, going_on

MISSED = 0.03  # of the claims that are held out, by the threshold


def train_claims(
    data: Annotated[Path, typer.Option(help="Labelled replies (.jsonl).")],
    output: Annotated[Path, typer.Option(help="The folder of the model.")],
    held_out: HeldOut = "",
    every: Annotated[
        int,
        typer.Option(
            help="Of the other sources one conversation in so many is not learnt from either. "
            "The threshold is chosen on what is held out.",
            min=2,
        ),
    ] = 7,
    epochs: Annotated[
        float, typer.Option(help="Passes over the replies.", min=0.1, max=1_000)
    ] = 3.0,
    seed: Seed = 1,
) -> None:
    """Train the model that tells replies in which a program would claim a life; it goes on."""
    # Imported here: it brings torch.
    import numpy as np

    from langgraph_cooper.graph.training.adapting import write_pair_model
    from langgraph_cooper.graph.training.labelled import read_labelled
    from langgraph_cooper.graph.training.pairs import RATE, Example, train_pair_model
    from langgraph_cooper.nodes.finetuned.claims.model import (
        TARGETS,
        ClaimsForm,
        read_claims_model,
    )
    from langgraph_cooper.ranker.data.dialogue import DataError

    learnt, held = apart(read_labelled(data, TARGETS), data, held_out, every)
    if not any(each.label == "claims" for each in held):
        raise DataError("no claim is held out: name other sources, or another --every")
    examples = [Example(each.pair, TARGETS[each.label]) for each in learnt]
    run = begun_run(output, examples, seed, epochs, RATE, ClaimsForm().model_dump(mode="json"))
    with going_on(run):
        model = train_pair_model(ClaimsForm(), examples, run, seed=seed, epochs=epochs)
    write_pair_model(model, run / "model")
    reader = read_claims_model(run / "model")
    odds = np.array([reader.read([each.pair])[0, 0] for each in held])
    labels = np.array([each.label for each in held])
    least = float(np.quantile(odds[labels == "claims"], MISSED, method="lower"))
    write_pair_model(model, output, least=least)
    told = [
        f"{(odds[labels == label] >= least).sum()} of {(labels == label).sum()} {label}"
        for label in TARGETS
    ]
    typer.echo(
        f"the model is in {output}; of the replies on which the threshold was chosen it takes for "
        f"claims: "
        f"{', '.join(told)}; the run in {run} is no longer needed"
    )
