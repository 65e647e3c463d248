"""Typical target states of an aspect (paper, "Local Analysis"): k-means over final summaries."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.data.labels import Embeddings, Encode, Floats

_log = logging.getLogger(__name__)

N_INIT = 4
"""Restarts of k-means for each k; the tightest clustering is taken."""

MOST_TRIED = 40
"""Numbers of clusters in the default range: all of them up to 1,300 conversations, as in ESConv."""

MEASURED = 4_000
"""States that a silhouette is measured on: it compares all pairs."""

TOLD = 10  # numbers of clusters between two lines of the log


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
    """Return the default numbers of clusters to try: N/50 to N/20, at least 2, evenly spaced."""
    low = max(2, count // 50)
    tried = range(low, max(low, count // 20) + 1)
    return tried[:: -(-len(tried) // MOST_TRIED)]


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
    runs: dict[int, KMeans] = {}
    curve: dict[int, float] = {}
    measured = _measured(len(texts), seed)
    for k in usable:
        runs[k] = KMeans(k, n_init=N_INIT, random_state=seed).fit(embedded)
        curve[k] = _silhouette(embedded[measured], runs[k].labels_[measured])
        if len(runs) % TOLD == 0:
            _log.info("aspect %r: %d of %d clusterings", aspect, len(runs), len(usable))
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


def _measured(count: int, seed: int) -> npt.NDArray[np.intp]:
    """Return the rows that silhouettes are measured on, the same for every k."""
    if count <= MEASURED:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, MEASURED, replace=False))


def _silhouette(embedded: Floats, labels: npt.NDArray[np.int32]) -> float:
    if not 1 < len(np.unique(labels)) < len(labels):
        return -1.0  # of a sample alone: it is undefined there, and no reason to choose this k
    return float(silhouette_score(embedded, labels))


def _unit(rows: npt.NDArray[np.floating]) -> Floats:
    """Scale rows to unit norm; a zero row stays zero."""
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    unit: Floats = (rows / np.maximum(norms, 1e-12)).astype(np.float32)
    return unit
