"""Intake: a turn's input is checked before any agent works on it."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage

from langgraph_cooper.nodes import InputError
from langgraph_cooper.nodes.intake import MAX_CHARACTERS, check_text, intake_node
from langgraph_cooper.prompts import load_task


def taken(task: str, *messages: AnyMessage, before: str | None = None) -> dict[str, Any]:
    state: dict[str, Any] = {"messages": list(messages)}
    known = {"cooper": {"task": before, "round": 1}} if before else {}
    found: dict[str, Any] = intake_node(load_task(task)).invoke(state | known)["cooper"]
    return found


def test_it_notes_task_and_round() -> None:
    said = [HumanMessage("Hi"), AIMessage("Hello."), HumanMessage("I"), HumanMessage("lost it.")]
    assert taken("esc", *said[:1]) == {"task": "esc", "round": 1}
    assert taken("esc", *said, before="esc") == {"task": "esc", "round": 2}
    assert taken("persuasion", AIMessage("Hello."), HumanMessage("Hi"))["round"] == 2


async def test_it_is_async_too() -> None:
    node = intake_node(load_task("esc"))
    assert await node.ainvoke({"messages": [HumanMessage("Hi")]}) == {
        "cooper": {"task": "esc", "round": 1}
    }
    with pytest.raises(InputError):
        await node.ainvoke({"messages": []})


def test_the_persuader_opens_on_nothing() -> None:
    assert taken("persuasion") == {"task": "persuasion", "round": 1}
    assert taken("persuasion", SystemMessage("Be nice."))["round"] == 1


def test_the_seeker_speaks_first() -> None:
    with pytest.raises(InputError, match="'esc' the seeker speaks first: send a user message"):
        taken("esc")


@pytest.mark.parametrize("task", ["esc", "persuasion"])
def test_nobody_answers_himself(task: str) -> None:
    role = load_task(task).system_role
    with pytest.raises(InputError, match=f"the {role}'s own: send a user message to answer"):
        taken(task, HumanMessage("Hi"), AIMessage("Hello."))


def test_a_thread_keeps_its_task() -> None:
    with pytest.raises(InputError, match=r"belongs to the task 'persuasion', not to 'esc'.*begin"):
        taken("esc", HumanMessage("Hi"), before="persuasion")


@pytest.mark.parametrize("text", ["", "  \n ", "\x00\u202e", "\ud800"])
def test_an_empty_message(text: str) -> None:
    with pytest.raises(InputError, match="is empty: write something"):
        taken("esc", HumanMessage(text))


def test_a_message_that_is_too_long() -> None:
    unguarded = load_task("esc").model_copy(update={"guard": None})
    long = {"messages": [HumanMessage("a" * 100_000)]}
    with pytest.raises(InputError, match=r"100,000 characters, more than the 8,000.*shorten"):
        intake_node(unguarded).invoke(long)
    assert intake_node(load_task("esc")).invoke(long)["cooper"]["round"] == 1  # the guard refuses


def test_check_text_gives_it_back_clean() -> None:
    assert check_text(" a\n b ") == "a b"
    assert check_text("a" * MAX_CHARACTERS) == "a" * MAX_CHARACTERS
    assert check_text("a" + " " * MAX_CHARACTERS) == "a"
    with pytest.raises(InputError):
        check_text("a" * (MAX_CHARACTERS + 1))
