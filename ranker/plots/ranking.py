"""The paper's Figures 2 and 3, from the report of an evaluation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from langgraph_cooper.ranker.data.jsonl import replacing
from langgraph_cooper.ranker.evaluation.metrics import DEPTH
from langgraph_cooper.ranker.evaluation.report import (
    COMMONEST,
    COOPER,
    EVIDENCE,
    GROUND_TRUTH,
    LLM,
    PRIOR,
    RANDOM,
    SIMILARITY,
    UNCALIBRATED,
    WITHOUT_PROGRESSION,
)
from langgraph_cooper.ranker.plots import style
from langgraph_cooper.ranker.plots.coordination import draw_trade

if TYPE_CHECKING:
    pass

COLOURS = {
    RANDOM: style.LIGHT,
    COMMONEST: style.GREY,
    SIMILARITY: style.SKY,
    PRIOR: style.BLUE,
    EVIDENCE: style.YELLOW,
    WITHOUT_PROGRESSION: style.ORANGE,
    LLM: style.PURPLE,
    UNCALIBRATED: style.GREEN,
    COOPER: style.RED,
}
LABELS = {COOPER: "COOPER", LLM: "LLM"}
FURTHER = (style.GREEN, style.DARK)
"""For rankers with a user's own names."""

METRICS = {"precision": "precision@n", "hit": "hit@n"}
ROUNDS_OF = (GROUND_TRUTH, COOPER, UNCALIBRATED, PRIOR)
"""The rankings in Figure 3, where the report has them."""


def draw_report(report: dict[str, Any], folder: Path, *, form: str = "png") -> list[Path]:
    """Draw the figures and write the report beside them.

    Args:
        report: The result of `Evaluation.report`, or its JSON read again.
        folder: Where `ranking`, `rounds`, `coordination` (if it was calibrated) and `report.json`
            go.
        form: "png" or "svg".

    Raises:
        PlotError: The report is malformed, or the folder cannot be written.
    """
    try:
        drawn = [_draw_bars(report, folder, form), _draw_rounds(report, ROUNDS_OF, folder, form)]
        if "coordination" in report:
            drawn.append(draw_trade(report, folder, form=form))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise style.PlotError(
            "this is not a report of 'cooper evaluate ranking --json': run it and draw its output"
        ) from None
    file = folder / "report.json"
    try:
        with replacing(file) as stream:
            stream.write(json.dumps(report, indent=2).encode() + b"\n")
    except OSError as error:
        raise style.PlotError(f"{file} cannot be written: {error.strerror}") from None
    return [*drawn, file]


def draw_first_aspects(report: dict[str, Any], folder: Path, *, form: str = "png") -> Path:
    """Draw Figure 3 of systems that reply: the aspects that they put first, over the rounds.

    Args:
        report: The report of `cooper evaluate generation`.
        folder: Where `rounds` goes.
        form: "png" or "svg".

    Raises:
        PlotError: The report is malformed or no system names an aspect, or the folder cannot be
            written.
    """
    try:
        if "by_round" not in report:
            raise style.PlotError(
                "no system of this report names the aspect that it puts first: measure bank, "
                "finetuned, prompted, cot or mixinit, on data with strategies"
            )
        return _draw_rounds(report, tuple(report["by_round"]["shares"]), folder, form)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise style.PlotError(
            "this is not a report of 'cooper evaluate generation --json': run it and draw its "
            "output"
        ) from None


def _draw_bars(report: dict[str, Any], folder: Path, form: str) -> Path:
    """Draw Figure 2: precision@n and hit@n for n = 1..5, a bar for each ranking."""
    figure = style.new_figure(9.6, 3.9)
    panels = figure.subplots(1, len(METRICS), sharey=True)
    rankings = report["rankings"]
    further = iter(FURTHER * len(rankings))
    colours = {name: COLOURS.get(name) or next(further) for name in rankings}
    width = 0.84 / len(rankings)
    for axes, (metric, label) in zip(panels, METRICS.items(), strict=True):
        for number, (name, found) in enumerate(rankings.items()):
            left = np.arange(1, DEPTH + 1) + (number - (len(rankings) - 1) / 2) * width
            colour, shown = colours[name], LABELS.get(name, name)
            axes.bar(left, found[metric][:DEPTH], width, color=colour, label=shown)
        axes.set_xticks(range(1, DEPTH + 1))
        axes.set_xlabel("n, candidates from the top")
        axes.set_title(label)
        style.tidy(axes)
    panels[0].set_ylabel("mean over turns")
    figure.suptitle(
        f"Rankings of the same {report['turns']:,} turns "
        f"({report['dialogues']:,} dialogues, task {report['task']})"
    )
    style.legend_below(figure, *panels[0].get_legend_handles_labels())
    return style.save(figure, folder, "ranking", form)


def _draw_rounds(report: dict[str, Any], names: Sequence[str], folder: Path, form: str) -> Path:
    """Draw Figure 3: the aspect of the first choice, over the rounds."""
    by_round, distances = report["by_round"], report["distances"]
    shares = {
        name: np.array(by_round["shares"][name]) for name in names if name in by_round["shares"]
    }
    reached = np.flatnonzero(by_round["turns"])
    figure = style.new_figure(max(9.6, 2.4 * len(shares)), 3.7)
    panels = figure.subplots(1, len(shares), sharey=True)
    for axes, (name, rows) in zip(panels, shares.items(), strict=True):
        style.stack(axes, range(len(reached)), rows[reached], by_round["aspects"])
        axes.set_xticks(range(0, len(reached), 2), _names_of_rounds(by_round, reached)[::2])
        axes.set_xlabel("round")
        title = LABELS.get(name, name)
        if name in distances:
            title += f" (distance {distances[name]:.3f})"
        axes.set_title(title, fontsize=10.5)
        style.tidy(axes, grid=None)
        axes.set_ylim(0, 1)
        axes.margins(x=0.01)
    panels[0].set_ylabel("share of turns")
    figure.suptitle(
        f"Aspect of the real utterance and of the first choice, {report['turns']:,} turns "
        f"(task {report['task']})"
    )
    style.legend_below(figure, *panels[0].get_legend_handles_labels())
    return style.save(figure, folder, "rounds", form)


def _names_of_rounds(by_round: dict[str, Any], reached: np.ndarray[Any, Any]) -> list[str]:
    last = len(by_round["turns"]) - 1
    return [f"{row + 1}+" if row == last else str(row + 1) for row in reached]
