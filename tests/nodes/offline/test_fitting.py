"""How likely an answer fits: more than the cosine counts."""

from __future__ import annotations

from langgraph_cooper.nodes.offline.fitting import FEATURES, Rarity, chance, features

RARITY = Rarity(["I run from one thing to the next.", "Do you run?", "The cat is ill.", "I see."])


def likely(cosine: float, said: str, heard: str) -> float:
    row = features(cosine, said, said, heard, RARITY)
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


def test_rare_words_say_more_than_common_ones() -> None:
    often = Rarity(["the cat", "the dog", "the bird", "the vet"])
    rare, _ = often.shared("the vet", "vet")
    common, _ = often.shared("the vet", "the")
    assert rare > common
