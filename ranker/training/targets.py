"""Typical target states of an aspect (paper, "Local Analysis"): k-means over final summaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.data.labels import Embeddings, Encode, Floats

N_INIT = 4
"""Restarts of k-means for each k; the tightest clustering is taken."""


@dataclass(frozen=True)
class TargetStates:
    """The typical target states of one aspect.

    Attributes:
        aspect: Name of the aspect.
        centroids: [k, n_d] float32, the centroids e_1..e_k in the state embedding space.
        texts: [k], the training summary nearest to each centroid by cosine.
        silhouette: k -> mean silhouette, for every k tried.
        sizes: [k], number of summaries in each cluster, largest first.
    """

    aspect: str
    centroids: Floats
    texts: tuple[str, ...]
    silhouette: dict[int, float]
    sizes: tuple[int, ...]


def cluster_range(count: int) -> range:
    """Return the default numbers of clusters to try: N/50 to N/20, at least 2."""
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
    """Cluster final state summaries by k-means; the best silhouette chooses k.

    Args:
        aspect: Name of the aspect.
        finals: Final summary of each training conversation, in any order; empty ones are ignored.
        encode: State encoder.
        ks: Numbers of clusters to try, each less than the number of distinct summaries (a
            silhouette needs two in one cluster); default `cluster_range(N)`.
        seed: Seed of k-means. The same seed and texts give the same result.

    Raises:
        DataError: Fewer conversations than clusters.
    """
    texts = sorted(text for text in finals if text.strip())  # k-means depends on the order
    embedded = Embeddings(texts, encode)(texts)  # [N, n_d]
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


def _unit(rows: npt.NDArray[np.floating]) -> Floats:
    """Scale rows to unit norm; a zero row stays zero."""
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    unit: Floats = (rows / np.maximum(norms, 1e-12)).astype(np.float32)
    return unit
