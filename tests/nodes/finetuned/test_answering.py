"""Direct questions, and whether a reply answers them."""

from __future__ import annotations

import pytest

from langgraph_cooper.nodes.finetuned.rules.answering import answers, question_of
from tests.nodes.finetuned.test_rules import NEGOTIATION, PERSUASION, turn


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Are you a real person?", "identity"),
        ("Sorry, who are you?", "identity"),
        ("What would you do in my place?", "advice"),
        ("My dad is angry. Any ideas?", "advice"),
        ("How do I break it to my landlord?", "how"),
        ("how do i stop thinking about it", "how"),
        ("Is it normal to miss him?", "yes-no"),
        ("How much does it cost?", "amount"),
        ("What did you mean by that?", "meaning"),
        ("Which bus goes there?", "open"),
        ("I wonder.", None),
        ("That is how I felt.", None),
        ("What a day.", None),
    ],
)
def test_questions_are_told_apart(text: str, kind: str | None) -> None:
    found = question_of(text)
    assert (found and found[0]) == kind


@pytest.mark.parametrize(
    ("said", "better", "worse"),
    [
        ("Are you a person?", "I'm an AI program.", "I'm here for you."),
        ("How do I tell my parents?", "You could begin with one of them.", "That must be hard."),
        ("Is it normal to feel nothing?", "Yes, many people feel numb.", "How long has it been?"),
        ("What would you do?", "I would talk to her first.", "What did she say?"),
        ("What do you mean?", "I meant how you feel at work.", "It sounds hard."),
        ("Which pills are the best?", "I don't know, a doctor can say.", "When did it begin?"),
    ],
)
def test_an_answer_counts_more_than_none(said: str, better: str, worse: str) -> None:
    situation = turn(said)
    assert answers(situation, better) >= 0.5 > answers(situation, worse)


def test_without_a_question_every_reply_will_do() -> None:
    assert answers(turn("I lost my job."), "That is hard.") == 1
    assert answers(turn("Hi, how are you?"), "Hello, what brings you here?") == 1


def test_an_amount_is_a_number_or_an_honest_no() -> None:
    asked = turn("How much of it reaches the children?", task=PERSUASION)
    assert answers(asked, "The published accounts are the best source, I can't say.") > 0.5
    assert answers(asked, "Children need help.") < 0.5
    price = turn("What do you want for it?", task=NEGOTIATION)
    assert answers(price, "I'd like 120.") == 1
