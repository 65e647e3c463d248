"""Whole offline conversations."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph import create_cooper
from langgraph_cooper.prompts import load_task

ROOT = Path(__file__).parents[2]
SEEKER = (
    "Hi there",
    "I got laid off last week and I feel really anxious.",
    "I worked there for six years. I don't know what to tell my wife.",
    "I feel like a failure.",
    "My boss never liked me, {name} said so.",
    "I tried to apply for a few jobs but nobody answers.",
    "I don't sleep well at the moment.",
    "Maybe I could ask an old colleague.",
    "I am afraid we can't pay the rent.",
    "My brother offered to help us.",
    "Thank you, that helps.",
    "Bye",
)
PERSUADEE = (
    "I'm fine, how are you?",
    "No, I have never heard of it.",
    "What do they do?",
    "I already give to my church.",
    "How do I know that the money gets there?",
    "I have two kids of my own.",
    "Money is a bit tight this month.",
    "How much do people usually give?",
    "I could give a dollar.",
    "Where can I do that?",
    "Okay, I will look at it.",
    "Goodbye!",
)


def _talk(task: str, lines: tuple[str, ...]) -> list[str]:
    spec = load_task(task)
    graph = create_cooper(task).compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "a"}}
    replies = []
    if spec.opens == "system":
        replies.append(graph.invoke({"messages": []}, config)["messages"][-1].text)
    for line in lines:
        state = graph.invoke({"messages": [HumanMessage(line)]}, config)
        replies.append(state["messages"][-1].text)
    assert len(state["messages"]) == len(lines) + len(replies)
    return replies


@pytest.mark.parametrize(("task", "lines"), [("esc", SEEKER), ("persuasion", PERSUADEE)])
def test_twelve_turns_within_the_word_limit_and_without_repeating(task, lines) -> None:
    replies = _talk(task, lines)
    assert max(len(reply.split()) for reply in replies) < load_task(task).reply_words
    assert len(set(replies)) == len(replies)
    sentences = [part for reply in replies for part in reply.split(". ")]
    assert len(set(sentences)) == len(sentences)


def test_a_users_third_task_works_from_one_file(tmp_path: Path) -> None:
    example = ROOT / "examples" / "negotiation.toml"
    graph = create_cooper(example).compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "a"}}
    opening = graph.invoke({"messages": []}, config)
    state = graph.invoke({"messages": [HumanMessage("I need it to get to work.")]}, config)
    assert opening["messages"][0].text
    aspects = load_task(example).aspect_names
    assert len(aspects) == 4
    assert {ranked["aspect"] for ranked in state["ranking"]} <= {*aspects, "passive"}
    assert all(state[aspect]["candidates"] for aspect in aspects)


DATA = Path(os.environ.get("COOPER_DATA", "data"))


@pytest.mark.parametrize("number", [0, 5])
def test_a_real_seeker_is_answered(number: int) -> None:
    file = DATA / "esconv" / "valid.txt"
    if not file.is_file():
        pytest.skip("set COOPER_DATA to a folder that holds esconv/valid.txt")
    dialogue = json.loads(file.read_text(encoding="utf-8").splitlines()[number])["dialog"]
    said = [turn["text"] for turn in dialogue if turn["speaker"] == "usr"][:12]
    assert all(_talk("esc", tuple(said)))
