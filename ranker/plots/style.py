"""The common style of all figures: colours, axes, legends, and saving."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from langgraph_cooper.prompts.errors import CooperError
from langgraph_cooper.prompts.extras import install

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, distinct for people with any colour vision.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, RED, YELLOW = "#56B4E9", "#D55E00", "#F0E442"
LIGHT, GREY, DARK = "#C8C8C8", "#8C8C8C", "#404040"
SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED, YELLOW, DARK)

DPI = 130


class PlotError(CooperError):
    """A figure cannot be drawn; names the remedy."""


def check_plots(folder: Path | None = None) -> None:
    """Check that figures can be drawn, and create their folder.

    Raises:
        PlotError: matplotlib is not installed, or the folder cannot be made.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise PlotError(f"figures need matplotlib: {install('train')}") from None
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlotError(f"the folder {folder} cannot be made: {error.strerror}") from None


def new_figure(width: float, height: float) -> Figure:
    """Create a figure of a width and height in inches, without pyplot's global state."""
    check_plots()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def tidy(axes: Axes, *, grid: Literal["x", "y", "both"] | None = "y") -> None:
    """Remove the frame's top and right, and draw a faint grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    if grid:
        axes.grid(axis=grid, color="#E4E4E4", linewidth=0.7)
        axes.set_axisbelow(True)


def stack(
    axes: Axes, places: Sequence[int], shares: NDArray[np.float64], aspects: Sequence[str]
) -> None:
    """Draw stacked bars.

    Args:
        axes: Where.
        places: [R] of the bars.
        shares: [R, A] of each aspect.
        aspects: [A] their names; the last, passive one is drawn unlike the others.
    """
    below = np.zeros(len(shares))
    for index, aspect in enumerate(aspects):
        last = index == len(aspects) - 1
        colour = LIGHT if last else SERIES[index % len(SERIES)]
        axes.bar(places, shares[:, index], 0.86, bottom=below, color=colour, label=aspect)
        below += shares[:, index]


def legend_below(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Draw one legend for all panels, in a row below them."""
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)


def save(figure: Figure, folder: Path, name: str, form: str) -> Path:
    """Write `folder/name.form`, with the same bytes for the same figure.

    Raises:
        PlotError: The folder cannot be written.
    """
    import matplotlib as mpl

    # Dates and random identifiers would make the files of two runs differ.
    metadata: dict[str, Any] = {"png": {"Software": None}, "svg": {"Date": None}}[form]
    file = folder / f"{name}.{form}"
    check_plots(folder)
    try:
        with mpl.rc_context({"svg.hashsalt": name}):
            figure.savefig(file, dpi=DPI, metadata=metadata, facecolor="white")
    except OSError as error:
        raise PlotError(f"{file} cannot be written: {error.strerror}") from None
    return file
