"""Final states: how well they cluster, and a map of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from langgraph_cooper.ranker.data.labels import Floats
from langgraph_cooper.ranker.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from langgraph_cooper.ranker.training.targets import TargetStates


@dataclass(frozen=True)
class StateMap:
    """The states of one aspect.

    Attributes:
        aspect: Name of the aspect.
        finals: [N, n_d] final states.
        centroids: [k, n_d] target states.
        paths: [L, n_d] states of a few dialogues, in the order of their turns.
    """

    aspect: str
    finals: Floats
    centroids: Floats
    paths: Sequence[Floats]


def draw_silhouettes(targets: Sequence[TargetStates], folder: Path, *, form: str = "png") -> Path:
    """Draw `silhouettes`: the mean silhouette for each number of clusters, a line per aspect."""
    figure = style.new_figure(6.4, 3.8)
    from matplotlib.ticker import MaxNLocator

    axes = figure.subplots()
    for target, colour in zip(targets, style.SERIES * len(targets), strict=False):
        ks = sorted(target.silhouette)
        values = [target.silhouette[k] for k in ks]
        best = len(target.texts)
        label = f"{target.aspect} (k = {best})"
        axes.plot(ks, values, color=colour, marker="o", markersize=3, label=label)
        axes.plot(best, target.silhouette[best], color=colour, marker="*", markersize=14)
    axes.set(
        xlabel="number of clusters k",
        ylabel="mean silhouette",
        title="Clusters of final states (the star is the k that is kept)",
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=9)
    style.tidy(axes, grid="both")
    return style.save(figure, folder, "silhouettes", form)


def draw_states(
    maps: Sequence[StateMap], folder: Path, *, form: str = "png", note: str = ""
) -> Path:
    """Draw `states`: final states, target states and paths of dialogues, a panel per aspect.

    The plane is spanned by the first two principal components of the final states; the same states
    give the same plane.

    Args:
        maps: One per aspect.
        folder: The figure's folder.
        form: "png" or "svg".
        note: End of the title, such as the task.
    """
    figure = style.new_figure(3.9 * len(maps), 4.5)
    panels = np.atleast_1d(figure.subplots(1, len(maps)))
    for axes, one in zip(panels, maps, strict=True):
        _draw_map(axes, one)
    handles: dict[str, Any] = {}
    for axes in panels:  # a dialogue without states of an aspect has no line in its panel
        drawn, labels = axes.get_legend_handles_labels()
        handles |= dict(zip(labels, drawn, strict=True))
    names = sorted(handles, key=lambda label: (label.startswith("dialogue"), label))
    style.legend_below(figure, [handles[name] for name in names], names)
    figure.suptitle(
        "Final states, target states, and dialogues on their way from an open to a full circle"
        + note
    )
    return style.save(figure, folder, "states", form)


def _draw_map(axes: Axes, one: StateMap) -> None:
    from sklearn.decomposition import PCA

    plane = PCA(2, svd_solver="full").fit(one.finals)
    share = plane.explained_variance_ratio_
    x, y = plane.transform(one.finals).T
    axes.scatter(x, y, s=11, color=style.LIGHT, linewidths=0, label="final state")
    colours = (style.BLUE, style.RED, style.GREEN, style.PURPLE, style.SKY, style.ORANGE)
    for number, (path, colour) in enumerate(zip(one.paths, colours * 10, strict=False), start=1):
        if not len(path):
            continue
        x, y = plane.transform(path).T
        axes.plot(x, y, color=colour, linewidth=1.3, alpha=0.9, label=f"dialogue {number}")
        axes.plot(x[0], y[0], "o", color=colour, markerfacecolor="white", markersize=5)
        axes.plot(x[-1], y[-1], "o", color=colour, markersize=6)
    x, y = plane.transform(one.centroids).T
    target = {"color": "black", "edgecolors": "white", "linewidths": 0.8, "zorder": 3}
    axes.scatter(x, y, s=60, marker="X", label="target state", **target)  # type: ignore[arg-type]
    axes.set(
        title=one.aspect,
        xlabel=f"1st component ({share[0]:.0%} of variance)",
        ylabel=f"2nd component ({share[1]:.0%})",
    )
    style.tidy(axes, grid=None)
