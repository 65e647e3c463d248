"""Typical target states of an aspect (paper, "Local Analysis"): k-means over final summaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.data.labels import Encode, Floats

N_INIT = 4
"""Restarts of k-means for each k; the tightest clustering of them counts."""


@dataclass(frozen=True)
class TargetStates:
    """The typical target states of one aspect.

    Attributes:
        aspect: Whose they are.
        centroids: [k, n_d] float32, the centroids e_1..e_k in the state embedding space.
        texts: [k], for each centroid the training summary nearest to it by cosine.
        silhouette: k -> mean silhouette, for every k that was tried.
        sizes: [k], summaries in each cluster; the clusters stand in falling order of size.
    """

    aspect: str
    centroids: Floats
    texts: tuple[str, ...]
    silhouette: dict[int, float]
    sizes: tuple[int, ...]


def cluster_range(count: int) -> range:
    """The numbers of clusters that are tried by default: N/50 to N/20, at least 2."""
    low = max(2, count // 50)
    return range(low, max(low, count // 20) + 1)


def find_targets(
    aspect: str,
    finals: Sequence[str],
    encode: Encode,
    *,
    ks: range | None = None,
    seed: int = 0,
) -> TargetStates:
    """Clusters final state summaries; the number of clusters is that of the best silhouette.

    Args:
        aspect: Whose summaries they are.
        finals: Final summary of each training conversation, in any order; empty ones count for
            nothing.
        encode: State encoder.
        ks: Numbers of clusters to try; default `cluster_range(N)`. Those above the number of
            distinct summaries less one are left out (a silhouette needs two in one cluster).
        seed: Of k-means. The same seed and texts give the same result.

    Raises:
        DataError: Fewer conversations than clusters.
    """
    texts = sorted(text for text in finals if text.strip())  # k-means depends on the order
    embedded = _embed(texts, encode)  # [N, n_d]
    wanted = ks if ks is not None else cluster_range(len(texts))
    distinct = len(np.unique(embedded, axis=0))
    usable = [k for k in wanted if 2 <= k < distinct]
    if not usable:
        raise DataError(
            f"aspect {aspect!r}: {distinct} distinct final states are too few for "
            f"{min(wanted, default=2)} clusters; annotate more conversations or ask for fewer"
        )
    runs = {k: KMeans(k, n_init=N_INIT, random_state=seed).fit(embedded) for k in usable}
    curve = {k: float(silhouette_score(embedded, run.labels_)) for k, run in runs.items()}
    best = runs[max(usable, key=lambda k: (curve[k], -k))]
    sizes = np.bincount(best.labels_, minlength=best.n_clusters)
    order = np.argsort(-sizes, kind="stable")
    centroids = best.cluster_centers_[order].astype(np.float32)  # [k, n_d]
    nearest = np.argmax(embedded @ _unit(centroids).T, axis=0)  # [k]
    return TargetStates(
        aspect=aspect,
        centroids=centroids,
        texts=tuple(texts[row] for row in nearest),
        silhouette=curve,
        sizes=tuple(int(sizes[row]) for row in order),
    )


def _embed(texts: Sequence[str], encode: Encode) -> Floats:
    """[N, n_d] of the non-empty texts, each distinct one encoded once."""
    rows = [text for text in texts if text.strip()]
    distinct = list(dict.fromkeys(rows))
    if not distinct:
        return np.zeros((0, 1), np.float32)
    place = {text: row for row, text in enumerate(distinct)}
    return encode(distinct)[[place[text] for text in rows]]


def _unit(rows: npt.NDArray[np.floating]) -> Floats:
    """Rows scaled to unit norm; a zero row stays zero."""
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    unit: Floats = (rows / np.maximum(norms, 1e-12)).astype(np.float32)
    return unit
