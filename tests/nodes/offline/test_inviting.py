"""An open question is due after words that were not understood, if nothing was asked before."""

from __future__ import annotations

import itertools

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import ValidationError

from langgraph_cooper.graph import Turns, create_cooper
from langgraph_cooper.nodes.backend import PromoterInput
from langgraph_cooper.nodes.offline.answers import Answers
from langgraph_cooper.nodes.offline.inviting import asks_what_was_said, invites_question
from langgraph_cooper.nodes.offline.promoter import OfflinePromoter
from langgraph_cooper.prompts import TaskSpec, Topic, load_task
from tests.support.rankers import embed
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
        "No one ever calls me back.",
        "Not a day goes by without it.",
        "Back home nobody knows.",
        "I need to leave him.",
        "We have to run the shop alone.",
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


TOLD = user("The cellar is still full of boxes.")


@pytest.mark.parametrize(
    "said",
    [
        "Please stop asking me questions.",
        "no questions please, i just want to talk",
        "Enough with the questions.",
        "Too many questions!",
        "Just don't ask me anything.",
    ],
)
def test_who_wants_no_questions_gets_none_until_they_ask_for_them(said: str) -> None:
    refusing = [user(said), system("All right."), user("We moved in May."), system("I see.")]
    assert not invites_question([*refusing, TOLD])
    assert invites_question([*refusing, user("You can ask me again."), system("Good."), TOLD])


@pytest.mark.parametrize(
    "said",
    [
        "My colleagues never ask me to lunch.",
        "They don't ask me anything.",
        "I am sick of the questions that customers have.",
    ],
)
def test_what_others_ask_is_no_wish(said: str) -> None:
    assert invites_question([user(said), system("I see."), TOLD])


def test_a_feeling_that_was_named_is_not_asked_for() -> None:
    feeling, sitting = (
        Topic(topic=text, strategy="Question", say=(text,), open_question=True)
        for text in ("How do you feel about it?", "How does it sit with you?")
    )
    assert asks_what_was_said(feeling, "it feels stupid to be jealous")
    assert not asks_what_was_said(feeling, "he told me about it")
    assert not asks_what_was_said(sitting, "it feels stupid to be jealous")


def test_the_shipped_questions_ask_and_stand_alone() -> None:
    forms = [form for topic in OPEN for form in topic.say]
    assert len(forms) >= 20
    assert all(form.endswith("?") and form.count("?") == 1 for form in forms)
    # What was said is found by its words: no form may hold another one's.
    assert not any(a.rstrip("?").lower() in b.lower() for a, b in itertools.permutations(forms, 2))


def test_no_more_than_one_agent_needs_to_ask() -> None:
    task = load_task("esc")
    questions = task.aspects[0].topics
    both = [aspect.model_copy(update={"topics": questions}) for aspect in task.aspects[:2]]
    task = task.model_copy(update={"aspects": (*both, task.aspects[2])})
    reply = (
        create_cooper(task)
        .compile()
        .invoke(
            {
                "messages": [
                    HumanMessage("I have moved out of my house."),
                    AIMessage("Thank you for telling me that."),
                    HumanMessage("The balcony faces north-east there."),
                ]
            }
        )["messages"][-1]
    )
    assert reply.text.count("?") == 1


def test_a_language_model_asks_its_own_questions() -> None:
    promoter = OfflinePromoter(
        bare := load_task("esc").without_answers(), embed, Answers(bare, embed)
    )
    given = PromoterInput(aspect=bare.aspects[0], history=[*THANKED, TOLD], state="", m=20)
    assert not any(candidate.get("due") for candidate in promoter(given))
    assert not {each["topic"] for each in promoter(given)} & {topic.topic for topic in OPEN}


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("aspects", "add \\[\\[answers\\]\\]"),
        ("passive", "is for an aspect's topics"),
        ("anytime", "remove one of them"),
    ],
)
def test_it_is_refused_where_it_could_not_be_due(where: str, told: str) -> None:
    fields = load_task("esc").model_dump(mode="json", exclude_defaults=True)
    topic = {"topic": "Well?", "strategy": "Question", "say": ["Well?"], "open_question": True}
    if where == "passive":
        topic["strategy"] = "Others"
        fields["passive"][0]["topics"].append(topic)
    else:
        fields["aspects"][0]["topics"].append(topic | {"anytime": where == "anytime"})
    if where == "aspects":
        fields["answers"] = []
    with pytest.raises(ValidationError, match=told):
        TaskSpec.model_validate(fields)


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
