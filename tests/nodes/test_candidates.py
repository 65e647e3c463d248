"""Candidates that a person edited at a breakpoint: completed, ranked and said, or refused."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph import InputError, create_cooper
from tests.support.rankers import FakeRanker

ASKED = "What did your manager say?"


def edited(candidates: Any) -> dict[str, Any]:
    """Replace an agent's candidates before the coordinator, and finish the turn."""
    ranker = FakeRanker(prefer=lambda candidate: float(candidate.topic == ASKED))
    graph = create_cooper("esc", ranker=ranker).compile(
        checkpointer=InMemorySaver(), interrupt_before=["coordinator"]
    )
    config: Any = {"configurable": {"thread_id": "anna"}}
    graph.invoke({"messages": [HumanMessage("I lost my job.")]}, config)
    report = graph.get_state(config).values["exploration"]
    update = {"exploration": {**report, "candidates": candidates}}
    graph.update_state(config, update, as_node="exploration")
    state: dict[str, Any] = graph.invoke(None, config)
    return state


@pytest.mark.parametrize(
    "candidate",
    [ASKED, {"topic": ASKED}, {"topic": ASKED, "strategy": None}, {"topic": ASKED, "source": ""}],
)
def test_short_forms_are_ranked_and_said(candidate: Any) -> None:
    state = edited([candidate])
    assert state["ranking"][0]["topic"] == ASKED
    assert state["ranking"][0]["source"] == "person"
    assert ASKED in state["messages"][-1].text


def test_no_candidates_leave_the_other_agents() -> None:
    state = edited([])
    assert {ranked["aspect"] for ranked in state["ranking"]} >= {"comforting", "action"}


@pytest.mark.parametrize(
    ("candidates", "named"),
    [
        ("foo", "'exploration' are a str"),
        ([{"topic": 3}], "'exploration' has no topic"),
        ([None], "'exploration' has no topic"),
        ([{"topic": ASKED, "strategy": 3}], "no text"),
    ],
)
def test_anything_else_is_one_sentence(candidates: Any, named: str) -> None:
    with pytest.raises(InputError, match=named):
        edited(candidates)
