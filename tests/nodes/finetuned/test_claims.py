"""The checker that counts claims of a life, which the rules do not use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.benchmarks.claims import claim, measure


@pytest.mark.parametrize(
    "reply",
    [
        "I lost my job once.",
        "My sister did that, too.",
        "I know how you feel.",
        "I live alone.",
        "As a mother I worry, too.",
        "I am not a robot.",
        "I've been through this.",
        "i used to smoke",
    ],
)
def test_a_claim_is_counted(reply: str) -> None:
    assert claim(reply) is not None


@pytest.mark.parametrize(
    "reply",
    [
        "I'm sorry to hear that.",
        "I was wondering when it began.",
        "As a program I have no sister.",
        "I think you did well.",
        "How long did your sister stay?",
        'You could say: "I lost my job."',
    ],
)
def test_other_words_are_not(reply: str) -> None:
    assert claim(reply) is None


def test_it_finds_self_disclosures_and_few_questions() -> None:
    file = Path(os.environ.get("COOPER_DATA", "data")) / "esconv" / "train.txt"
    if not file.is_file():
        pytest.skip("set COOPER_DATA to a folder that holds esconv/train.txt")
    found = measure(file)
    assert found["recall"] > 0.65  # a third of the label's turns disclose nothing in these words
    assert found["precision"] > 0.95
