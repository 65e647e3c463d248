"""`cooper evaluate`: how good rankers, replies and whole conversations are."""

from __future__ import annotations

import typer

from langgraph_cooper.graph.cli import (
    evaluate_ablations,
    evaluate_examples,
    evaluate_fitted,
    evaluate_interactive,
    evaluate_judging,
    evaluate_ranking,
    evaluate_ratings,
    evaluate_text,
)

app = typer.Typer(
    help="Measure a ranker, systems' replies, or whole conversations.", no_args_is_help=True
)
app.command()(evaluate_ranking.ranking)
app.command()(evaluate_fitted.prior)
app.command()(evaluate_fitted.calibration)
app.command()(evaluate_text.text)
app.command()(evaluate_text.generation)
app.command()(evaluate_ablations.ablations)
app.command()(evaluate_interactive.interactive)
app.command()(evaluate_judging.judge)
app.command()(evaluate_judging.conversations)
app.command()(evaluate_examples.examples)
app.command()(evaluate_ratings.rate)
app.command()(evaluate_ratings.ratings)
