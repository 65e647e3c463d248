"""A language model's questions about a crisis: a yes to one counts, and none to another."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langgraph_cooper.nodes.crisis.questions import asked_about, asks_if_safe, asks_of_the_past
from langgraph_cooper.nodes.guard import guard_node
from langgraph_cooper.prompts import load_task

ESC = load_task("esc")


@pytest.mark.parametrize(
    ("kind", "question"),
    [
        ("danger", "Did he hit you?"),
        ("danger", "Has he threatened to kill you?"),
        ("danger", "Did he threaten you with the knife?"),
        ("danger", "I'm sorry. When he drinks, does your husband beat you?"),
        ("danger", "Have you been hurt by somebody at home?"),
        ("danger", "Are you afraid of him?"),
        ("danger", "Are you afraid that she will hurt you again?"),
        ("danger", "Is anybody threatening you?"),
        ("danger", "Was he choking you?"),
        ("danger", "Were you raped?"),
        ("danger", "Has he ever put his hands around your neck?"),
        ("danger", "Would your stepfather harm you if you left?"),
        ("danger", "So they have locked you in the house?"),
        ("danger", "Does he have a gun?"),
        ("danger", "Who is hitting you?"),
        ("violence", "Did you hit her?"),
        ("violence", "Are you going to hurt him?"),
        ("violence", "Have you thought about killing your boss?"),
        ("violence", "Do you want to use the knife on them?"),
        ("other", "Is your friend suicidal?"),
        ("other", "Did he say that he wants to die?"),
        ("other", "Has she taken an overdose?"),
        ("suicide", "Do you want to die?"),
        ("suicide", "Had you planned how you would do it, a way to die?"),
        ("suicide", "Have you taken any pills?"),
        ("self_harm", "Have you been cutting yourself?"),
        ("self_harm", "Have you harmed yourself?"),
    ],
)
def test_it_reads_what_is_asked(kind: str, question: str) -> None:
    assert asked_about(question) == kind
    assert asked_about(question.replace("?", ".")) is None


@pytest.mark.parametrize(
    "question",
    [
        "Did he hit send?",
        "Did the news hit you hard?",
        "Did the sadness hit you again?",
        "Has your boss hit you up lately?",
        "Did he beat you at chess?",
        "Does she beat you to the office?",
        "Did he hurt your feelings?",
        "Did he threaten to quit?",
        "Did your father hit you when you were a child?",
        "Are you afraid of the exam?",
        "Are you afraid of losing him?",
        "Did she shoot you a message?",
        "Did you beat your record?",
        "Did he push you to apply?",
        "Does your mother know that you are tired?",
    ],
)
def test_it_reads_no_more_than_that(question: str) -> None:
    assert asked_about(question) is None


def test_what_others_did_long_ago_is_no_danger_of_today() -> None:
    assert asks_of_the_past("Did your uncle kill himself?")
    assert not asks_of_the_past("Did he hit you?")


def tier_after(question: str, answer: str) -> str:
    messages = [HumanMessage("It is hard at home."), AIMessage(question), HumanMessage(answer)]
    tier: str = guard_node(ESC).invoke({"messages": messages})["guard"]["tier"]
    return tier


@pytest.mark.parametrize(
    ("question", "answer", "tier"),
    [
        ("Did he hit you?", "Yes.", "certain"),
        ("Did he hit you?", "No, never.", "none"),
        ("Did the news hit you hard?", "Yes.", "none"),
        ("Are you safe at home?", "Yes.", "none"),
        ("Are you safe at home?", "No.", "concern"),
        ("Is it safe to say that you are tired?", "No.", "none"),
    ],
)
def test_the_answer_counts(question: str, answer: str, tier: str) -> None:
    assert tier_after(question, answer) == tier


def test_a_question_about_safety_is_another() -> None:
    assert asks_if_safe("Do you feel safe with him?")
    assert not asks_if_safe("Are you safe to drive home in the snow?")
    assert asked_about("Do you feel safe with him?") is None
