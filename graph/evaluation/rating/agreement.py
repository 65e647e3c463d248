"""Agreement of raters beyond chance, by kept libraries."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

Ratings = Mapping[str, Mapping[str, int]]
"""Item -> rater -> category."""


def fleiss_kappa(ratings: Ratings) -> float | None:
    """Return Fleiss' kappa of items that all have the same raters.

    NLTK's multi-pi is this kappa, which is Scott's pi for two raters (R. Artstein and M. Poesio,
    "Inter-Coder Agreement for Computational Linguistics", Computational Linguistics 34, 2008).

    Returns:
        None where it is not defined: without items, with one rater, or with one category alone.

    Raises:
        ValueError: The items have different raters.
    """
    from nltk.metrics.agreement import AnnotationTask

    raters = {frozenset(given) for given in ratings.values()}
    if len(raters) > 1:
        raise ValueError("Fleiss' kappa wants the same raters for every item")
    if not raters or len(next(iter(raters))) < 2 or len(_categories(ratings)) < 2:
        return None
    triples: list[tuple[str, str, Hashable]] = [
        (rater, item, category)
        for item, given in ratings.items()
        for rater, category in given.items()
    ]
    return float(AnnotationTask(triples).pi())


def krippendorff_alpha(ratings: Ratings) -> float | None:
    """Return Krippendorff's alpha for categories without an order; ratings may be missing.

    Returns:
        None where it is not defined: no item has two raters, or there is one category alone.
    """
    import krippendorff
    import numpy as np

    compared = {item: given for item, given in ratings.items() if len(given) > 1}
    if len(_categories(compared)) < 2:
        return None
    raters = sorted({rater for given in compared.values() for rater in given})
    table = np.array(
        [[given.get(rater, np.nan) for given in compared.values()] for rater in raters],
        dtype=np.float64,
    )  # (raters, items)
    return float(krippendorff.alpha(table, level_of_measurement="nominal"))


def rated_by_all(ratings: Ratings, raters: Sequence[str]) -> Ratings:
    """Return the items that have all raters."""
    wanted = set(raters)
    return {item: given for item, given in ratings.items() if set(given) == wanted}


def _categories(ratings: Ratings) -> set[int]:
    return {category for given in ratings.values() for category in given.values()}
