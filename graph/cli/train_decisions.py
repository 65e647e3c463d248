"""`cooper train decisions`: from labelled answers to the model that tells a yes from a no."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from langgraph_cooper.graph.cli.holding_out import HeldOut, Seed, apart, begun_run, going_on


def train_decisions(
    data: Annotated[Path, typer.Option(help="Labelled answers (.jsonl).")],
    output: Annotated[Path, typer.Option(help="The folder of the model.")],
    held_out: HeldOut = "",
    every: Annotated[
        int,
        typer.Option(
            help="Of the other sources one conversation in so many is not learnt from either. "
            "The model is measured on what is held out.",
            min=2,
        ),
    ] = 7,
    epochs: Annotated[
        float, typer.Option(help="Passes over the answers.", min=0.1, max=1_000)
    ] = 3.0,
    seed: Seed = 1,
) -> None:
    """Train the model that reads what users decide; stopped, it goes on by the same command."""
    # Imported here: it brings torch.
    from sklearn.metrics import classification_report

    from langgraph_cooper.graph.training.adapting import write_pair_model
    from langgraph_cooper.graph.training.decisions import RATE, likeliest, train_decider
    from langgraph_cooper.graph.training.labelled import read_labelled
    from langgraph_cooper.nodes.subjects.decider import LABELS, DeciderForm, read_decider

    learnt, held = apart(read_labelled(data, LABELS), data, held_out, every)
    form = DeciderForm().model_dump(mode="json")
    learnt_from = [each.model_dump(mode="json") for each in learnt]
    run = begun_run(output, learnt_from, seed, epochs, RATE, form)
    with going_on(run):
        model = train_decider(learnt, run, seed=seed, epochs=epochs)
    write_pair_model(model, output)
    read = likeliest(read_decider(output), held)
    labelled = [each.label for each in held]
    typer.echo(classification_report(labelled, read, labels=LABELS, digits=3, zero_division=0.0))
    typer.echo(
        f"the model is in {output}; measured on {len(held):,} answers that were held out; "
        f"the run in {run} is no longer needed"
    )
