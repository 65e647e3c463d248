"""Figures of whole conversations: aspects and progress over rounds, wins per dimension."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from langgraph_cooper.ranker.plots import style

if TYPE_CHECKING:
    pass

PEOPLE = "people"


def draw_conversations(report: Mapping[str, Any], folder: Path, *, form: str = "png") -> list[Path]:
    """Draw the aspects and the progress over the rounds.

    Args:
        report: The result of 'cooper evaluate conversations --json'.
        folder: Where `aspects` and `progress` go.
        form: "png" or "svg".

    Raises:
        PlotError: The report is malformed or of no pipeline, or the folder cannot be written.
    """
    try:
        if not report["by_round"]["systems"]:
            raise style.PlotError(
                "no system of the report names the aspects that it takes up: there is nothing to "
                "draw over the rounds"
            )
        drawers = [_aspects]
        if any(report["progress"].values()):  # a prompted baseline names aspects alone
            drawers.append(_progress)
        return [draw(report, folder, form) for draw in drawers]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise style.PlotError(
            "this is not a report of 'cooper evaluate conversations --json': run it and draw its "
            "output"
        ) from None


def _aspects(report: Mapping[str, Any], folder: Path, form: str) -> Path:
    by_round = report["by_round"]
    panels = {name: np.array(found["shares"]) for name, found in by_round["systems"].items()}
    turns = {name: found["turns"] for name, found in by_round["systems"].items()}
    if PEOPLE in by_round:
        panels[PEOPLE] = np.array(by_round[PEOPLE])
    last = max(int(np.flatnonzero(found)[-1]) + 1 for found in turns.values())
    figure = style.new_figure(3.2 * len(panels) + 0.6, 3.7)
    axes_row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (name, shares) in zip(axes_row, panels.items(), strict=True):
        places = range(1, last + 1)
        style.stack(axes, places, shares[:last], by_round["aspects"])
        style.tidy(axes, grid=None)
        axes.set_ylim(0, 1)
        found = by_round["systems"].get(name, {})
        told = f" (distance {found['distance']:.3f})" if "distance" in found else ""
        axes.set_title(f"{name}{told}", fontsize=10.5)
        axes.set_xlabel("round")
    axes_row[0].set_ylabel("share of turns")
    figure.suptitle(f"Aspect that comes first, in conversation (task {report['task']})")
    style.legend_below(figure, *axes_row[0].get_legend_handles_labels())
    return style.save(figure, folder, "aspects", form)


def _progress(report: Mapping[str, Any], folder: Path, form: str) -> Path:
    systems = {name: found for name, found in report["progress"].items() if found}
    aspects = list(next(iter(systems.values())))
    figure = style.new_figure(3.2 * len(aspects) + 0.6, 3.4)
    axes_row = figure.subplots(1, len(aspects), sharey=True, squeeze=False)[0]
    for axes, aspect in zip(axes_row, aspects, strict=True):
        for number, (name, found) in enumerate(systems.items()):
            values = np.array([np.nan if v is None else v for v in found[aspect]["by_round"]])
            colour = style.SERIES[number % len(style.SERIES)]
            axes.plot(np.arange(1, len(values) + 1), values, marker="o", markersize=3,
                      color=colour, label=name)  # fmt: skip
        axes.set_title(aspect)
        axes.set_xlabel("round")
        axes.set_ylim(0, 1)
        style.tidy(axes)
    axes_row[0].set_ylabel("mean progress")
    figure.suptitle("Progress by the pipeline's own opinion: shown, never counted as a win")
    style.legend_below(figure, *axes_row[0].get_legend_handles_labels())
    return style.save(figure, folder, "progress", form)


def draw_wins(report: Mapping[str, Any], folder: Path, *, form: str = "png") -> Path:
    """Draw wins, ties and losses per dimension, a panel for each pair of systems.

    Args:
        report: The result of 'cooper evaluate judge --json', or of 'ratings --json'.
        folder: Where `wins` goes.
        form: "png" or "svg".

    Raises:
        PlotError: The report is malformed, or the folder cannot be written.
    """
    try:
        return _wins(report, folder, form)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise style.PlotError(
            "this is not a report of 'cooper evaluate judge --json': run it and draw its output"
        ) from None


COLUMNS = 3
"""Panels beside each other, at most: more would be too small to read."""
PARTS = {"wins": style.BLUE, "ties": style.LIGHT, "losses": style.ORANGE}


def _wins(report: Mapping[str, Any], folder: Path, form: str) -> Path:
    compared = report["compared"]
    names = list(compared[0]["dimensions"])
    columns = min(COLUMNS, len(compared))
    lines = -(-len(compared) // columns)
    figure = style.new_figure(4.6 * columns + 0.6, (0.42 * len(names) + 0.9) * lines + 0.7)
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flat
    first = panels[0]
    for axes in panels[len(compared) :]:
        axes.set_visible(False)
    for axes, each in zip(panels, compared, strict=False):
        left = np.zeros(len(names))
        for part, colour in PARTS.items():
            values = np.array([each["dimensions"][name][part] for name in names], float)
            axes.barh(names, values, left=left, color=colour, label=part)
            left += values
        one, other = each["systems"]
        axes.set_title(f"{one} (wins) against {other} (losses)", fontsize=10.5)
        axes.set_xlabel("pairs")
        axes.xaxis.set_tick_params(labelbottom=True)
        style.tidy(axes, grid="x")
    first.invert_yaxis()
    whose = (
        f"Verdicts of {report['judge']} that survived the swap"
        if "judge" in report
        else f"What most of {len(report['raters'])} raters preferred"
    )
    figure.suptitle(f"{whose} (task {report['task']})")
    style.legend_below(figure, *first.get_legend_handles_labels())
    return style.save(figure, folder, "wins", form)
