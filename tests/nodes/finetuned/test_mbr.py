from __future__ import annotations

import pytest

from langgraph_cooper.nodes.finetuned.mbr import most_typical


def test_the_sample_that_is_most_like_the_others_is_chosen() -> None:
    samples = ["Bananas are yellow.", "I am sorry to hear that.", "I am so sorry to hear it.", ""]
    assert most_typical(samples) == 1


def test_of_equals_the_first_is_chosen() -> None:
    assert most_typical(["one two", "three four"]) == 0
    assert most_typical(["same", "same", "same"]) == 0


def test_no_sample_is_an_error() -> None:
    with pytest.raises(ValueError, match="no sample"):
        most_typical([])
