"""Holm's correction: by hand, and what holds for all p-values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_cooper.ranker.evaluation.holm import holm


def test_holms_correction_by_hand() -> None:
    corrected = holm({"a": 0.01, "b": 0.04, "c": 0.03})
    assert corrected == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    assert list(corrected) == ["a", "b", "c"]
    assert holm({}) == {}


@given(st.dictionaries(st.text(), st.floats(0, 1), max_size=8))
def test_holms_correction_keeps_the_order_and_never_lowers(values: dict[str, float]) -> None:
    found = holm(values)
    assert all(values[key] <= found[key] <= 1 for key in values)
    ordered = sorted(values, key=lambda key: values[key])
    assert [found[key] for key in ordered] == sorted(found.values())
