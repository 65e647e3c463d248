"""The guard's node answers a certain crisis, and asks about a concern where it should."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langgraph_cooper.nodes import CooperContext, InputError
from langgraph_cooper.nodes.crisis.course import Finding
from langgraph_cooper.nodes.guard import MARK, guard_node, help_text
from langgraph_cooper.prompts import GuardSettings, load_task
from tests.nodes.guard.talks import ESC, said

PERSUASION = load_task("persuasion")
FAINT = "I sorted out who gets the cat"  # a hint, if it is one


def test_nothing_but_the_place_is_noted_where_nothing_is_found() -> None:
    update = guard_node(ESC).invoke(said("I lost my job."))
    assert set(update) == {"guard"}
    assert update["guard"].pop("digest")
    assert update["guard"] == {
        "tier": "none", "fired": False, "asked": 0, "given": 0, "quiet": 0, "faint": False,
        "hinted": 0, "through": "u0",
    }  # fmt: skip


def test_a_hit_is_answered_and_marked() -> None:
    update = guard_node(ESC).invoke(said("Hello", "I want to die"))
    (answer,) = update["messages"]
    assert answer.additional_kwargs == {MARK: "suicide"}
    assert "988" in answer.text
    assert "116 123" in answer.text
    pinned = update["guard"].pop("pinned")
    assert update["guard"].pop("digest")
    assert "988" in pinned
    assert "116 123" in pinned
    assert update["guard"] == {
        "tier": "certain", "fired": True, "kind": "suicide", "round": 2, "asked": 0, "given": 0,
        "quiet": 0, "faint": False, "hinted": 0, "through": "u1", "reviewed": False,
        "awaits_review": False,
    }  # fmt: skip


def test_the_mark_alone_keeps_a_conversation_guarded() -> None:
    # As in a graph inside another, which remembers messages and nothing else.
    marked = AIMessage("Please call 988.", additional_kwargs={MARK: "suicide"})
    update = guard_node(ESC).invoke({"messages": [HumanMessage("x"), marked, HumanMessage("y")]})
    assert update["guard"]["fired"]
    assert update["messages"][0].text != help_text("suicide", 0, CooperContext(), GuardSettings())


def test_later_texts_differ_and_a_new_kind_has_its_own_first_text() -> None:
    node = guard_node(ESC)
    state = said("I want to hurt myself")
    texts = []
    for number, text in enumerate(["ok", "well", "no", "not now", "why", "I want to die"]):
        update = node.invoke(state)
        texts.append(update["messages"][0].text)
        state = {
            "messages": [
                *state["messages"],
                *update["messages"],
                HumanMessage(text, id=f"m{number}"),
            ],
            "guard": update["guard"],
        }
    assert len(set(texts)) == len(texts)
    first = help_text("suicide", 0, CooperContext(), ESC.guard or GuardSettings())
    assert node.invoke(state)["messages"][0].text == first


def test_too_long_a_message_is_read_before_it_is_refused() -> None:
    long = "It rained. " * 800
    with pytest.raises(InputError, match="more than the 8,000"):
        guard_node(ESC).invoke(said(long))
    assert guard_node(ESC).invoke(said(f"{long} I want to die. {long}"))["guard"]["fired"]


@pytest.mark.parametrize(
    ("text", "in_esc", "in_persuasion"),
    [
        (FAINT, "concern", "none"),
        ("I keep hoping a bus will hit me", "concern", "concern"),
        ("I want to die", "certain", "certain"),
        ("he pushed me down the stairs and took my phone so i can't call", "certain", "certain"),
    ],
)
def test_who_talks_about_a_donation_is_asked_less_readily(
    text: str, in_esc: str, in_persuasion: str
) -> None:
    assert guard_node(ESC).invoke(said(text))["guard"]["tier"] == in_esc
    assert guard_node(PERSUASION).invoke(said(text))["guard"]["tier"] == in_persuasion


@pytest.mark.parametrize("kept", [True, False])
def test_a_patient_guard_asks_at_a_second_hint(kept: bool) -> None:
    """Also inside another graph, where the messages alone tell what was seen."""
    hint = Finding("concern", "danger", faint=True)
    nodes = [
        guard_node(
            ESC.model_copy(update={"guard": GuardSettings(patient=patient)}),
            lambda text, said=(): hint if "hat" in text else Finding(),
        )
        for patient in (True, False)
    ]
    first, second = said("He gave me a hat."), said("He gave me a hat.", "Green.", "That hat!")
    found = [node.invoke(first)["guard"] for node in nodes]
    assert [guard["tier"] for guard in found] == ["none", "concern"]
    assert "pinned" not in found[0]
    state = {**second, "guard": found[0]} if kept else second
    assert nodes[0].invoke(state)["guard"]["tier"] == "concern"
    if kept:  # a host may keep the last message alone
        trimmed = {"messages": second["messages"][-1:], "guard": found[0]}
        assert nodes[0].invoke(trimmed)["guard"]["tier"] == "concern"


def test_after_a_crisis_another_is_no_longer_rare() -> None:
    messages = [
        HumanMessage("I want to die"),
        AIMessage("Please call 988.", additional_kwargs={MARK: "suicide"}),
        HumanMessage("Yes, I am safe."),
    ]
    node = guard_node(PERSUASION)
    assert node.invoke({"messages": messages})["guard"]["tier"] == "none"
    messages += [AIMessage("I am glad."), HumanMessage(FAINT)]
    assert node.invoke({"messages": messages})["guard"]["tier"] == "concern"
