"""How likely an answer fits: more than the cosine counts."""

from __future__ import annotations

import numpy as np
import pytest

from langgraph_cooper.nodes.offline.fitting import (
    FEATURES,
    Neighbours,
    Rarity,
    chance,
    features,
    neighbours,
)

AROUND = Neighbours(second=0.5, share=0.25, lead=0.0)
RARITY = Rarity(["I run from one thing to the next.", "Do you run?", "The cat is ill.", "I see."])


def likely(cosine: float, said: str, heard: str, around: Neighbours = AROUND) -> float:
    row = features(cosine, said, said, heard, RARITY, around)
    assert len(row) == len(FEATURES)
    return float(chance([row])[0])


def test_a_question_is_hardly_a_statement() -> None:
    statement = "I run from one thing to the next."
    assert likely(0.67, "Do you run?", statement) < likely(0.67, "Do you run?", "Do you run?")


def test_a_denial_is_hardly_an_affirmation() -> None:
    assert likely(0.8, "The cat is not ill.", "The cat is ill.") < likely(
        0.8, "The cat is so ill.", "The cat is ill."
    )


def test_nearer_is_likelier() -> None:
    assert likely(0.5, "The cat is ill.", "The cat is ill.") < likely(
        1.0, "The cat is ill.", "The cat is ill."
    )


def test_an_answer_whose_other_examples_are_near_is_likelier() -> None:
    texts = (0.6, "The cat is ill.", "The cat is ill.")
    alone = likely(*texts)
    assert alone < likely(*texts, AROUND._replace(second=0.6))
    assert alone < likely(*texts, AROUND._replace(share=0.5))
    assert alone < likely(*texts, AROUND._replace(lead=0.1))


def test_what_lies_around_an_example() -> None:
    near = np.array([0.9, 0.2, 0.8, 0.7, 0.1], np.float32)
    of = np.array([0, 1, 1, 0, 2])
    assert neighbours(near, of, 0, 3) == pytest.approx((0.7, 2 / 3, 0.1))
    assert neighbours(near, of, 1, 3) == pytest.approx((0.2, 1 / 3, -0.1))
    assert neighbours(near, of, 2, 3) == pytest.approx((0.08, 0.0, -0.8))
    # A task with a single example says nothing more by it.
    assert neighbours(near[:1], of[:1], 0, 3) == pytest.approx((0.8 * 0.9, 1 / 3, 0.0))
    far = np.array([0.9, 0.2, 0.5], np.float32)
    assert neighbours(far, np.array([0, 1, 0]), 0, 3).lead == 0.1


def test_rare_words_say_more_than_common_ones() -> None:
    often = Rarity(["the cat", "the dog", "the bird", "the vet"])
    rare, _ = often.shared("the vet", "vet")
    common, _ = often.shared("the vet", "the")
    assert rare > common
