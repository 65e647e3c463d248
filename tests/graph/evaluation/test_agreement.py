"""Agreement against worked examples that were published."""

from __future__ import annotations

import pytest

from langgraph_cooper.graph.evaluation.rating.agreement import fleiss_kappa, krippendorff_alpha


def test_fleiss_kappa_of_a_published_example() -> None:
    """14 raters, 10 subjects, 5 categories: Wikipedia, "Fleiss' kappa", worked example."""
    counts = (
        (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
    )  # fmt: skip
    given = {}
    for item, numbers in enumerate(counts):
        votes = [category for category, number in enumerate(numbers) for _ in range(number)]
        given[str(item)] = {str(rater): vote for rater, vote in enumerate(votes)}
    assert fleiss_kappa(given) == pytest.approx(0.210, abs=0.0005)


def test_krippendorff_alpha_of_a_published_example() -> None:
    """Four observers, 12 units, missing values: K. Krippendorff, "Computing Krippendorff's
    Alpha-Reliability", 2011, section C (nominal, alpha = 0.743)."""
    observers = {
        "A": "12332141 2....".replace(" ", ""),
        "B": "123322412 5.3".replace(" ", ""),
        "C": ".33323422 51.".replace(" ", ""),
        "D": "123324412 51.".replace(" ", ""),
    }
    given = {
        str(unit): {name: int(row[unit]) for name, row in observers.items() if row[unit] != "."}
        for unit in range(12)
    }
    assert krippendorff_alpha(given) == pytest.approx(0.743, abs=0.0005)


def test_what_has_no_agreement() -> None:
    same = {"a": {"x": 1, "y": 1}, "b": {"x": 1, "y": 1}}
    alone = {"a": {"x": 1}, "b": {"x": 0}}
    for found in (fleiss_kappa, krippendorff_alpha):
        assert found({}) is None
        assert found(same) is None
        assert found(alone) is None
    with pytest.raises(ValueError, match="same raters"):
        fleiss_kappa({"a": {"x": 1, "y": 1}, "b": {"x": 1, "z": 0}})
