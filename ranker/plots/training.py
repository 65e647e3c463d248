"""The course of a training run: the loss by step, and the metrics on valid by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from langgraph_cooper.ranker.plots import style

VALID = ("hit@3", "hit@1", "precision@1", "ndcg@5")
SMOOTHED_OVER = 20
"""The loss is averaged over windows of one in this many of a run's steps."""


def draw_log(log: Sequence[dict[str, Any]], folder: Path, *, form: str = "png") -> Path:
    """Draw `training` from the records of a log.

    Args:
        log: "step" records with `step` and `loss`, and "valid" records with `epoch` and metrics;
            epoch -1 is before the first.
        folder: The figure's folder.
        form: "png" or "svg".

    Raises:
        PlotError: The log has no steps, or the folder cannot be written.
    """
    steps = [record for record in log if record.get("kind") == "step" and "loss" in record]
    valid = [record for record in log if record.get("kind") == "valid"]
    if not steps or not all(_is_drawable(record) for record in log):
        raise style.PlotError("the log has no training steps: name the log of a 'cooper train' run")
    figure = style.new_figure(9.6, 3.6)
    left, right = figure.subplots(1, 2)
    at = np.array([record["step"] for record in steps])
    loss = np.array([record["loss"] for record in steps])
    left.plot(at, loss, color=style.LIGHT, linewidth=0.8, label="loss of a step's batch")
    window = max(1, len(loss) // SMOOTHED_OVER)
    left.plot(*_smoothed(at, loss, window), color=style.BLUE, label=f"mean of {window} steps shown")
    for number, record in enumerate(r for r in valid[:-1] if r["epoch"] >= 0):
        label = "end of an epoch" if number == 0 else None
        left.axvline(record["step"], color=style.GREY, linewidth=0.7, linestyle=":", label=label)
    # The limits cut off outliers, which would flatten the curve.
    left.set_ylim(loss.min() * 0.98, np.quantile(loss, 0.995) * 1.04)
    left.set(xlabel="step", ylabel="loss", title="Training loss")
    _legend(left, 3)
    style.tidy(left)
    _draw_valid(right, valid)
    return style.save(figure, folder, "training", form)


def _is_drawable(record: Mapping[str, Any]) -> bool:
    number = {"step": "loss", "valid": "epoch"}.get(str(record.get("kind")), "step")
    return all(isinstance(record.get(name), int | float) for name in ("step", number))


def _draw_valid(axes: Any, valid: Sequence[dict[str, Any]]) -> None:
    epochs = [record["epoch"] + 1 for record in valid]
    for name, colour in zip(VALID, style.SERIES, strict=False):
        values = [record.get(name, np.nan) for record in valid]
        axes.plot(epochs, values, color=colour, marker="o", markersize=4, label=name)
    chosen = [epoch for epoch, record in zip(epochs, valid, strict=True) if record.get("best")]
    if chosen:
        axes.axvline(chosen[-1], color=style.GREY, linewidth=0.9, linestyle="--", label="chosen")
    axes.set(xlabel="epoch", ylabel="mean over valid turns", title="Valid", ylim=(0, 1))
    axes.set_xticks(epochs)
    _legend(axes, 5)
    style.tidy(axes)


def _legend(axes: Any, columns: int) -> None:
    """Draw the legend below the axes, clear of the curves."""
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.16)}
    axes.legend(
        frameon=False, fontsize=8, ncols=columns, columnspacing=1.2, handlelength=1.6, **place
    )


def _smoothed(
    at: np.ndarray[Any, Any], values: np.ndarray[Any, Any], window: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Means of `window` values in a row, each at the middle of its steps."""
    share = np.full(window, 1 / window)
    return np.convolve(at, share, "valid"), np.convolve(values, share, "valid")
