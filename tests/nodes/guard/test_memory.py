"""Edited and removed messages lift no guard; a release outlives them."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from langgraph_cooper.nodes.guard import MARK, guard_node, released
from langgraph_cooper.prompts import GuardSettings
from tests.nodes.guard.talks import ESC, said

CRISIS = HumanMessage("I am going to kill myself tonight.", id="c")
HELP = AIMessage("Help is there.", id="h", additional_kwargs={MARK: "suicide"})


def test_an_edited_message_is_read_again() -> None:
    node = guard_node(ESC)
    state = said("I lost my job.")
    state["guard"] = node.invoke(state)["guard"]
    edited = {**state, "messages": [HumanMessage("I want to die", id="u0")]}
    assert node.invoke(edited)["guard"]["fired"]


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    "now",
    [
        [HumanMessage("Tell me a joke.", id="n")],
        [HumanMessage("I am fine.", id="c"), HumanMessage("Tell me a joke.", id="n")],
        [HumanMessage("I am fine.", id="c"), AIMessage("Good.", id="h"), HumanMessage("A joke?")],
        [AIMessage("I am fine.", id="c"), HumanMessage("Tell me a joke.", id="n")],
        [CRISIS, AIMessage("Glad you are fine.", id="h"), HumanMessage("Tell me a joke.", id="n")],
        [CRISIS, HELP, AIMessage("Glad you are fine."), HumanMessage("Tell me a joke.", id="n")],
    ],
    ids=["removed", "edited", "both edited", "another's", "help edited", "reply put in"],
)
def test_what_is_done_to_messages_lifts_no_guard(now: list[AnyMessage], strict: bool) -> None:
    node = guard_node(ESC.model_copy(update={"guard": GuardSettings(strict=strict)}))
    fired = node.invoke({"messages": [CRISIS]})["guard"]
    for _ in range(2):  # not the turn after next either
        update = node.invoke({"messages": now, "guard": fired})
        fired = update["guard"]
        assert fired["fired"]
        now = [*now, *update["messages"], HumanMessage("Football?", id=f"n{len(now)}")]
    safe = {"messages": [*now[:-1], HumanMessage("I am safe now.", id="s")], "guard": fired}
    assert node.invoke(safe)["guard"]["fired"] is strict


def test_a_window_of_the_messages_lets_the_user_say_that_they_are_safe() -> None:
    """A graph around this one may hand on the last messages alone."""
    node = guard_node(ESC)
    talk: list[AnyMessage] = [HumanMessage("Hello.", id="a"), AIMessage("Hello.", id="b"), CRISIS]
    state = {"messages": talk, "guard": node.invoke({"messages": talk})["guard"]}
    for number, (text, fires) in enumerate({"Hm.": True, "I am safe now.": False}.items()):
        update = node.invoke(state)
        talk = [*talk, *update.get("messages", []), HumanMessage(text, id=f"s{number}")]
        state = {"messages": talk[-2:], "guard": update["guard"]}
        assert node.invoke(state)["guard"]["fired"] is fires


@pytest.mark.parametrize("by_person", [False, True])
def test_a_release_outlives_its_own_message(by_person: bool) -> None:
    settings = GuardSettings(strict=by_person)
    node = guard_node(ESC.model_copy(update={"guard": settings}))
    crisis = HumanMessage("I want to kill myself.", id="c")
    update = node.invoke({"messages": [crisis]})
    help_named = update["messages"][0].model_copy(update={"id": "h"})
    kept = [crisis, help_named]
    state = {"messages": [*kept, HumanMessage("I am safe now.", id="r")], "guard": update["guard"]}
    state["guard"] = (released(state) if by_person else node.invoke(state))["guard"]
    later = {**state, "messages": [*kept, HumanMessage("My dog is ill.", id="n")]}
    assert not (now := node.invoke(later)["guard"])["fired"]
    assert ("pinned" in now) is not by_person  # without a person, help stays in view
    worse = {**state, "messages": [*kept, HumanMessage("I want to die.", id="n")]}
    assert node.invoke(worse)["guard"]["fired"]
    edited = [HumanMessage("I will kill myself today.", id="c"), help_named, later["messages"][-1]]
    assert node.invoke({**state, "messages": edited})["guard"]["fired"]


def test_a_person_lifts_it_and_what_was_said_before_is_not_read_again() -> None:
    node = guard_node(ESC)
    state = said("I want to", "kill myself")
    hit = node.invoke(state)
    state = {"messages": [*state["messages"], AIMessage("Help.", id="h")], "guard": hit["guard"]}
    state |= released(state)
    again = {**state, "messages": [*state["messages"], HumanMessage("I am better.", id="n")]}
    assert set(node.invoke(again)) == {"guard"}
    assert not node.invoke(again)["guard"]["fired"]
    worse = {**state, "messages": [*state["messages"], HumanMessage("I want to die.", id="n")]}
    update = node.invoke(worse)
    assert update["guard"]["fired"]
    assert not update["guard"]["reviewed"]
