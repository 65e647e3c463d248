"""Choosing among samples, with embeddings of hashed words and no trained model."""

from __future__ import annotations

import math

import pytest

from langgraph_cooper.nodes.finetuned.choice import FALLBACK, HONESTY, Chooser, Length, Weights
from langgraph_cooper.nodes.finetuned.rules import RULES
from langgraph_cooper.nodes.finetuned.rules.answering import HONEST
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.data.dialogue import Utterance
from tests.support.rankers import embed

ESC = load_task("esc")
BANK = "It sounds like this has been really hard on you."
SAID = [Utterance("user", "I lost my job and my garden.")]


def only(**weights: float) -> Chooser:
    """A chooser with these parts alone."""
    zero = dict.fromkeys(Weights.__dataclass_fields__, 0.0)
    return Chooser(
        ESC,
        embed,
        weights=Weights(**{**zero, **weights}),
        length=Length(1.386, 0.5),
        rules=[name for name in RULES if name != "meaning"],  # a trained model, tested by itself
    )


def test_what_breaks_a_rule_is_out_and_the_reasons_say_why() -> None:
    choice = only(bank=-1.0).choose(SAID, ["I was in the same boat.", "What grew there?"], BANK)
    assert (choice.text, choice.index) == ("What grew there?", 1)
    assert "out 0: life (i was)" in choice.reasons


def test_the_bank_speaks_if_nothing_else_may() -> None:
    choice = only().choose(SAID, ["My mother did, too.", "Your wife knows."], BANK)
    assert (choice.text, choice.index) == (BANK, FALLBACK)
    assert only().choose(SAID, [], BANK).index == FALLBACK


def test_the_bank_speaks_even_against_a_wish_if_there_is_nothing_else() -> None:
    said = [Utterance("user", "Stop asking me questions.")]
    choice = only().choose(said, ["How long?"], "How do you feel?")
    assert (choice.text, choice.score) == ("How do you feel?", -math.inf)
    assert only().choose(said, ["That is fair."], "How do you feel?").text == "That is fair."


@pytest.mark.parametrize(
    ("weights", "best"),
    [
        ({"relevance": 1.0}, "The garden, and the job."),
        ({"topics": 1.0}, "Roses want water."),
        ({"length": 1.0}, "What grew there then?"),
        ({"bank": 1.0}, BANK),
    ],
)
def test_each_part_counts(weights: dict[str, float], best: str) -> None:
    samples = ["The garden, and the job.", "Roses want water.", "What grew there then?", "Hm."]
    topics = ["roses want water every day"]
    assert only(**weights).choose(SAID, samples, BANK, topics).text == best


def test_what_is_due_is_said_in_the_words_of_the_bank() -> None:
    due = next(kind for kind in ESC.passive if kind.due).topics[0]
    samples = ["What grew there?"]
    chooser = only(due=1.0, bank=-0.5)
    assert chooser.choose(SAID, samples, BANK, ["roses"]).index == 0
    assert chooser.choose(SAID, samples, BANK, [due.topic]).index == FALLBACK
    assert chooser.choose(SAID, samples, BANK, ["roses", due.topic]).index == 0


def test_a_reply_that_others_agree_with_wins() -> None:
    samples = ["Seek rest now.", "Find rest now.", "Seek rest later.", "Bananas!"]
    assert only(agreement=1.0).choose(SAID, samples, "Grapes.").index in (0, 1)


def test_what_was_said_is_not_said_again() -> None:
    said = [
        Utterance("user", "Hi."), Utterance("system", "What grew in the garden?"),
        Utterance("user", "Roses."),
    ]  # fmt: skip
    samples = ["What grew in garden beds?", "Roses smell good."]
    assert only(novelty=1.0).choose(said, samples, BANK).index != 0


def test_an_open_question_is_answered_or_admitted() -> None:
    said = [Utterance("user", "How do I tell my parents?")]
    assert only(answers=1.0).choose(said, ["That must hurt.", "You could write to them."],
                                    BANK).index == 1  # fmt: skip
    choice = only(answers=1.0).choose(said, ["That must hurt."], BANK)
    assert (choice.text, choice.index) == (HONEST[0], HONESTY)
    again = [*said, Utterance("system", HONEST[0]), Utterance("user", "But how do I tell them?")]
    assert only(answers=1.0).choose(again, [], BANK).text == HONEST[1]


def test_equal_samples_are_one_and_samples_are_tidied() -> None:
    choice = only(bank=-1.0).choose(SAID, ["what grew there", "What grew there?"], BANK)
    assert (choice.text, choice.index) == ("What grew there?", 0)


def test_a_part_or_a_rule_can_be_left_out() -> None:
    chooser = only(bank=-1.0)
    boat = "I was in the same boat."
    assert chooser.choose(SAID, [boat], BANK).index == FALLBACK
    assert chooser.without("life").choose(SAID, [boat], BANK).text == boat
    assert chooser.without("bank").choose(SAID, ["Hm so."], BANK).index == 0
    with pytest.raises(ValueError, match="'luck' is neither"):
        chooser.without("luck")
