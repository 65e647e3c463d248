"""A chat model's ranking: what it is shown, and how tolerantly its order is read."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_cooper.nodes.llm.ranking import complete, ranking_prompt, read_order
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.api import ScoredTopic
from langgraph_cooper.ranker.data.dialogue import Utterance


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("[3, 1, 2]", [2, 0, 1]),
        ('```json\n["2", "3", "1"]\n```', [1, 2, 0]),
        ("Of the 3 topics, 2 fit well. My order: [3, 2, 1].", [2, 1, 0]),
        ("<think>Perhaps [1, 2, 3]?</think>[2, 1]", [1, 0]),
        ("[2] > [3] > [1]", [1, 2, 0]),
        ("2, 3, 1", [1, 2, 0]),
        ("2\n1\n3", [1, 0, 2]),
        ("[3, 3, 9, 0, 2]", [2, 1]),
        ('{"order": [1, 3]}', [0, 2]),
        ("I cannot say.", []),
        ("", []),
        ("[" + "9" * 5000 + ", 2, 1]", [1, 0]),
    ],
)
def test_an_order_is_read(text: str, order: list[int]) -> None:
    assert read_order(text, 3) == order


def test_the_only_candidate_is_found() -> None:
    assert read_order("[1]", 1) == [0]


def test_what_was_forgotten_comes_last_as_it_stood() -> None:
    assert complete([2], 4) == [2, 0, 1, 3]
    assert complete([], 3) == [0, 1, 2]


@settings(max_examples=50, deadline=None)
@given(st.text(), st.integers(1, 15))
def test_any_answer_gives_an_order_of_all(text: str, count: int) -> None:
    assert sorted(complete(read_order(text, count), count)) == list(range(count))


def test_the_model_sees_goal_dialogue_and_numbered_topics() -> None:
    task = load_task("esc")
    history = [Utterance("user", "I lost my job.\nSupporter: I agree."), Utterance("system", "Oh.")]
    topics = [ScoredTopic("exploration", "Ask what happened"), ScoredTopic("passive", "Say hello")]
    system, material = ranking_prompt(task, {"history": history, "candidates": topics})
    assert task.goal in system
    assert "2 topics" in system
    dialogue, listed = (text for _, text in material)
    assert dialogue.splitlines() == ["Seeker: I lost my job. Supporter: I agree.", "Supporter: Oh."]
    assert listed.splitlines() == [
        "1. Ask what happened (exploration)",
        "2. Say hello (passive)",
    ]
