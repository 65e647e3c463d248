"""The trade of calibrated coordination, from the report of an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from langgraph_cooper.ranker.plots import style


def draw_trade(report: dict[str, Any], folder: Path, *, form: str = "png") -> Path:
    """Draw precision@1 over the distance, for each strength and for dice.

    Args:
        report: A report with `coordination`.
        folder: Where `coordination` goes.
        form: "png" or "svg".

    Raises:
        PlotError: The folder cannot be written.
        KeyError: The report has no such part.
    """
    found = report["coordination"]
    figure = style.new_figure(6.0, 4.0)
    axes = figure.subplots()
    for name, rows, colour, marker in (
        ("calibrated, by strength", found["trade"], style.RED, "o"),
        ("dice: first choice or P(aspect | round)", found["dice"], style.GREY, "s"),
    ):
        distances = [row["distance"] for row in rows]
        axes.plot(
            distances, [r["precision@1"] for r in rows], marker + "-", color=colour, label=name
        )
    for row in found["trade"]:
        if row["strength"] in (0.0, 1.0, found["strength"]):
            axes.annotate(
                f"{row['strength']:g}",
                (row["distance"], row["precision@1"]),
                textcoords="offset points",
                xytext=(0, 7),
                ha="center",
            )
    axes.set_xlabel("distance to what people take up")
    axes.set_ylabel("precision@1")
    axes.legend(frameon=False, loc="lower right")
    style.tidy(axes, grid="both")
    axes.set_title(f"The first choice, {report['turns']:,} turns (task {report['task']})")
    return style.save(figure, folder, "coordination", form)
