"""A no to a donation binds every backend; a yes is thanked for, and no payment is pretended."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph import create_cooper
from langgraph_cooper.nodes.subjects import in_play as subjects
from langgraph_cooper.nodes.subjects.in_play import subjects_in_play
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.data.dialogue import Utterance
from tests.support.rankers import FakeRanker
from tests.support.scripted import ScriptedModel

NO = "No thank you, I won't donate."
CONFIG: Any = {"configurable": {"thread_id": "a"}}


class Talk:
    def __init__(self, model: Any) -> None:
        graph = create_cooper("persuasion", model=model, ranker=FakeRanker())
        self._graph = graph.compile(checkpointer=InMemorySaver())
        self.state = self._graph.invoke({"messages": []}, CONFIG)

    def say(self, text: str) -> str:
        self.state = self._graph.invoke({"messages": [HumanMessage(text)]}, CONFIG)
        reply: str = self.state["messages"][-1].text
        return reply

    def proposed(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for ranked in self.state["ranking"]:
            found.setdefault(ranked["aspect"], []).append(ranked["source"])
        return found


@pytest.fixture
def words_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model that reads decisions cannot be loaded."""
    monkeypatch.setattr(subjects, "read_decision", lambda _: None)


def in_play(*texts: str) -> set[str]:
    said = [Utterance(speaker="user", text=text) for text in texts]
    return {subject.id for subject in subjects_in_play(load_task("persuasion").subjects, said)}


def test_a_language_model_is_told_and_its_appeals_are_dropped() -> None:
    model = ScriptedModel()
    talk = Talk(model)
    talk.say("Tell me more.")
    assert {"appeal", "proposition"} <= set(talk.proposed())
    for text in (NO, "What else do you do?", "I see."):
        talk.say(text)
        assert "appeal" not in talk.proposed()
        assert "model" not in talk.proposed().get("proposition", [])
        assert "A plain no is settled" in model.asked("generator")[-1].messages[0].text
    talk.say("I thought again: I'll donate a dollar.")
    assert "appeal" in talk.proposed()
    assert "A plain no is settled" not in model.asked("generator")[-1].messages[0].text


@pytest.mark.parametrize("text", [NO, "Stop asking!", "I'm not interested.", "My answer is no"])
def test_offline_nothing_is_asked_of_somebody_who_said_no(text: str) -> None:
    talk = Talk("offline")
    replies = [talk.say(said) for said in ("Hello", text, "ok", "I like my garden.", "Well.")][1:]
    assert "appeal" not in talk.proposed()
    assert not any(word in reply for reply in replies for word in ("give?", "donate?", "amount"))


@pytest.mark.parametrize(
    "text",
    [
        "I don't have anything I can spare.",
        "I don't think I can give anything.",
        "I'm not sure if I want to donate.",
        "Why would I want to donate?",
        "What makes you think I'll donate?",
        "I would like to donate, but I can't afford it.",
        "I wouldn't be willing to donate.",
        "I would not be willing to give.",
        "Would you be willing to donate?",
        "I'm not really willing to donate",
        "How many people are willing to give?",
        "If I had a job, I'd donate.",
        "Nobody said I would donate.",
        "I'll give it some thought.",
        "I'll give you that.",
        "Don't count me in.",
        "I'm not so sure I can give.",
        "I don't think, honestly, I can give anything.",
        "Maybe I'll donate.",
        "I'll give you an honest answer: no.",
        "I'd be happy to listen.",
        "I'd be happy to answer that.",
        "I need to know more before I can give.",
        "I'd be happy to donate, but I can't.",
        "I don't want to make a donation.",
        "I wouldn't be happy to help.",
        "I would not be happy to help.",
    ],
)
@pytest.mark.usefixtures("words_alone")
def test_words_that_refuse_doubt_or_ask_are_no_yes(text: str) -> None:
    talk = Talk("offline")
    talk.say("Hello")
    assert "official website" not in talk.say(text)
    assert "agrees" not in in_play(text)


@pytest.mark.parametrize(
    "text",
    [
        "I don't have anything I can spare.",
        "I'm willing to listen.",
        "I wish I could donate",
        "I wouldn't be willing to donate.",
        "I would not be willing to give.",
        "Would you be willing to donate?",
    ],
)
@pytest.mark.usefixtures("words_alone")
def test_a_no_is_not_taken_back_by_less_than_a_yes(text: str) -> None:
    talk = Talk("offline")
    for said in ("Hello", NO, text, "I see."):
        talk.say(said)
    assert "appeal" not in talk.proposed()


YES = [
    "Sure, I can give $1.",
    "I'd be happy to donate.",
    "Why not, I'll donate two dollars.",
    "I don't mind giving, count me in.",
    "I can't wait to help, sign me up!",
    "I don't have much, but I can spare a dollar.",
    "I've never given before. I'll donate a dollar.",
    "I'll donate, but I can't give much.",
    "I will donate, but I don't have much",
    "I've never given before, I can give $1",
    "I can't afford much, but I can give a dollar.",
    "I don't have any cash on me, but I'll donate online.",
    "I don't want to give much, but I'll donate $1.",
    "If I could I'd give more, I'll donate $2.",
    "I'd like to help if I can.",
    "I'll donate if it helps the kids.",
    "I'd like to donate but I have a question.",
    "I can give up to five dollars.",
    "I will give in December.",
    "I don't have much so I can give $1.",
    "Those people need help so I will donate.",
    "I'm not rich so I can spare a dollar.",
    "No doubt I'll donate.",
    "Before I go I'll donate.",
    "Do you have a link so I can donate?",
    "I'd be happy to donate, I wish I could give more.",
    "Sure, I'd be happy to.",
    "I would be happy to do 50 cents.",
    "I'd be happy to make a donation.",
    "Happy to help!",
    "I want to help.",
    "Yes, I'm willing.",
    "I'd be willing to do a dollar.",
]


@pytest.mark.usefixtures("words_alone")
@pytest.mark.parametrize("text", YES)
def test_a_plain_yes_is_thanked_for(text: str) -> None:
    talk = Talk("offline")
    talk.say("Hello")
    talk.say(text)
    (pledge,) = [kind for kind in load_task("persuasion").passive if kind.name == "pledge"]
    assert talk.state["ranking"][0]["topic"] in {topic.topic for topic in pledge.topics}


@pytest.mark.usefixtures("words_alone")
@pytest.mark.parametrize("text", YES)
def test_a_plain_yes_takes_a_no_back(text: str) -> None:
    assert "agrees" in in_play(NO, text)
    assert "refuses" not in in_play(NO, text)


@pytest.mark.parametrize(
    "text",
    [
        "I already give to my church, I won't give more.",
        "I'm not going to give more money to charities.",
        "I do not want to give a lot of money to strangers.",
        "I gave already, I won't donate more.",
        "I won't give more",
        "No,\nthank you",
        "No :) thank you",
    ],
)
@pytest.mark.usefixtures("words_alone")
def test_a_plain_no_is_heard(text: str) -> None:
    assert "refuses" in in_play(text)
    talk = Talk("offline")
    talk.say("Hello")
    talk.say(text)
    (refusal,) = [kind for kind in load_task("persuasion").passive if kind.name == "refusal"]
    assert talk.state["ranking"][0]["topic"] in {topic.topic for topic in refusal.topics}


ASKS = ["Would you give a part of your pay to the children?", "Could you spare a dollar today?"]
TALKS = ["Do you have children yourself?", "Had you heard of Save the Children before?"]


def decided(*said: str) -> set[str]:
    """What is in play after the system's and the user's words, in turn; no yes or no: nothing."""
    sides = itertools.cycle(("system", "user"))
    history = [Utterance(side, text) for side, text in zip(sides, said, strict=False)]
    found = {each.id for each in subjects_in_play(load_task("persuasion").subjects, history)}
    return found & {"agrees", "refuses"}


@pytest.mark.parametrize("text", ["No.", "nope", "No way.", "I refuse", "nah im good", "not today"])
def test_a_no_is_heard_after_an_ask_alone(text: str) -> None:
    assert [decided(ask, text) for ask in ASKS] == [{"refuses"}] * 2


@pytest.mark.parametrize("text", ["No.", "nope", "Not yet."])
def test_a_no_to_another_question_is_none(text: str) -> None:
    assert [decided(talk, text) for talk in TALKS] == [set()] * 2


@pytest.mark.parametrize(
    "text", ["my wallet stays shut, sorry", "I have bills to pay, sorry", "hard pass"]
)
def test_a_no_needs_no_word_for_it(text: str) -> None:
    assert decided(ASKS[0], text) == {"refuses"}
    assert decided(ASKS[0], text, "I understand.", "ok then, put me down for 20 cents") == {
        "agrees"
    }


def test_after_a_no_nothing_is_thanked_for_unless_it_is_given() -> None:
    talk = Talk("offline")
    said = ["Hello", NO, "A dollar is a lot of money for me.", "I have 2"]
    said += [f"I painted {thing}." for thing in ("a shed", "a boat", "a fence", "a gate") * 10]
    replies = [talk.say(text) for text in said]
    (pledge,) = [kind for kind in load_task("persuasion").passive if kind.name == "pledge"]
    thanks = {form for topic in pledge.topics for form in topic.say}
    assert not thanks.intersection(replies)
    assert not any("kind gift" in reply or "generous" in reply for reply in replies)


def test_most_plain_decisions_are_read_as_the_words_say() -> None:
    """None of these lines was learnt from."""
    heard = [decided(ASKS[0], text) == {"agrees"} for text in YES]
    assert sum(heard) >= 0.85 * len(heard)


def test_a_yes_is_thanked_for_and_nothing_is_pretended() -> None:
    talk = Talk("offline")
    talk.say("Hello")
    thanks = talk.say("I'll donate $1")
    assert "thank" in thanks.lower()
    assert "official website" in thanks
    assert "website" in talk.say("How do I do that?")


def test_the_opening_says_that_it_is_an_ai_and_what_for() -> None:
    opening = Talk("offline").state["messages"][0].text
    assert "AI" in opening or "program" in opening or "artificial" in opening
    assert "Save the Children" in opening
    model = ScriptedModel()
    Talk(model)
    prompt = model.asked("generator")[0].messages[0].text
    assert "artificial program: when you open the conversation, say so and name your goal" in prompt
