"""An open question is due after words that were not understood, if nothing was asked before."""

from __future__ import annotations

import itertools

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph import Turns, create_cooper
from langgraph_cooper.nodes.offline.inviting import asks_what_was_said, invites_question
from langgraph_cooper.prompts import Topic, load_task
from tests.support.talk import system, user

THANKED = [user("I moved house in May."), system("Thank you for telling me that.")]
OPEN = [topic for topic in load_task("esc").aspects[0].topics if topic.open_question]


@pytest.mark.parametrize(
    "said",
    [
        "The cellar is still full of boxes.",
        "he never calls back",
        "Well, my aunt bought the bakery next door.",
        "I stop at the same café every day.",
    ],
)
def test_a_statement_invites_one(said: str) -> None:
    assert invites_question([*THANKED, user(said)])


@pytest.mark.parametrize(
    "said",
    [
        "nope",  # tells nothing
        "What would you do?",
        "do people get over such things",  # a question without its mark
        "So tell me about penguins.",
        "He does it already, so please don't bring that up.",
        "No, the tenth and not the ninth.",
        "I misspoke, it was my uncle.",
        "Well, I should get back to work.",
        "thanks, and good night to you",
    ],
)
def test_other_words_do_not(said: str) -> None:
    assert not invites_question([*THANKED, user(said)])


def test_nothing_is_asked_twice_in_a_row() -> None:
    asked = [user("I moved house in May."), system("How was it? I'd like to hear.")]
    assert not invites_question([*asked, user("The cellar is still full of boxes.")])


def test_the_first_words_are_left_to_the_ranker() -> None:
    assert not invites_question([user("The cellar is still full of boxes.")])


def test_who_wants_no_questions_gets_none_until_they_ask_for_them() -> None:
    refusing = [user("Please stop asking me questions."), system("All right.")]
    told = user("The cellar is still full of boxes.")
    assert not invites_question([*refusing, told])
    assert not invites_question([*refusing, user("We moved in May."), system("I see."), told])


def test_a_feeling_that_was_named_is_not_asked_for() -> None:
    feeling, sitting = (
        Topic(topic=text, strategy="Question", say=(text,), open_question=True)
        for text in ("How do you feel about it?", "How does it sit with you?")
    )
    assert asks_what_was_said(feeling, "it feels stupid to be jealous")
    assert not asks_what_was_said(sitting, "it feels stupid to be jealous")


def test_the_shipped_questions_ask_and_stand_alone() -> None:
    forms = [form for topic in OPEN for form in topic.say]
    assert len(forms) >= 20
    assert all(form.endswith("?") and form.count("?") == 1 for form in forms)
    # What was said is found by its words: no form may hold another one's.
    assert not any(a.rstrip("?").lower() in b.lower() for a, b in itertools.permutations(forms, 2))


def test_in_a_conversation_it_is_said_every_other_time() -> None:
    turns = Turns(create_cooper("esc").compile(checkpointer=InMemorySaver()))
    said = [
        "I am seventy-three and I have just moved out of my house.",
        "The balcony faces north-east there.",
        "The woman downstairs brought me a plum cake on Sunday.",
        "There is a chess table in the lobby.",
        "The new oven has eleven buttons.",
        "The postman is called Harold.",
        "They paint the staircase in the autumn.",
    ]
    replies = [turns.send("one", HumanMessage(text)) for text in said]
    due = [
        reply.state["ranking"][0]["aspect"] == "exploration"
        and reply.state["ranking"][0].get("due", False)
        for reply in replies
    ]
    questions = {form for topic in OPEN for form in topic.say}
    asked = [any(form in reply.text for form in questions) for reply in replies]
    assert sum(asked) >= 2
    assert all(is_due for is_due, was_asked in zip(due, asked, strict=True) if was_asked)
    asks = ["?" in reply.text for reply in replies]
    assert not any(
        now and before and is_open
        for before, now, is_open in zip(asks, asks[1:], asked[1:], strict=False)
    )
