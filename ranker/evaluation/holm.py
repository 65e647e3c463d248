"""Holm's correction of p-values for the number of tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Key = TypeVar("Key")


def holm(values: Mapping[Key, float]) -> dict[Key, float]:
    """Correct p-values for their number (Holm 1979): the family's error rate stays as stated.

    Args:
        values: Hypothesis -> p.

    Returns:
        Hypothesis -> corrected p, in the order of `values`.
    """
    ordered = sorted(values, key=lambda key: values[key])
    corrected: dict[Key, float] = {}
    largest = 0.0
    for place, key in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - place) * values[key]))
        corrected[key] = largest
    return {key: corrected[key] for key in values}
