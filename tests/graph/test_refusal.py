"""A no to a donation binds every backend; a yes is thanked for, and no payment is pretended."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph import create_cooper
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


def test_a_language_model_is_told_and_its_appeals_are_dropped() -> None:
    model = ScriptedModel()
    talk = Talk(model)
    talk.say("Tell me more.")
    assert {"appeal", "proposition"} <= set(talk.proposed())
    for text in (NO, "What else do you do?", "I see."):
        talk.say(text)
        assert "appeal" not in talk.proposed()
        assert "model" not in talk.proposed().get("proposition", [])
        assert "That is settled" in model.asked("generator")[-1].messages[0].text
    talk.say("I thought again: I'll donate a dollar.")
    assert "appeal" in talk.proposed()
    assert "That is settled" not in model.asked("generator")[-1].messages[0].text


@pytest.mark.parametrize("text", [NO, "Stop asking!", "I'm not interested.", "My answer is no"])
def test_offline_nothing_is_asked_of_somebody_who_said_no(text: str) -> None:
    talk = Talk("offline")
    replies = [talk.say(said) for said in ("Hello", text, "ok", "I like my garden.", "Well.")][1:]
    assert "appeal" not in talk.proposed()
    assert not any(word in reply for reply in replies for word in ("give?", "donate?", "amount"))


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
