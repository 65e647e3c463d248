"""What a person edited, candidates, a ranking or a report: completed and used, or refused."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph import InputError, create_cooper
from langgraph_cooper.prompts import TaskSpec, load_task
from tests.support.rankers import FakeRanker
from tests.support.scripted import ScriptedModel

ESC = load_task("esc")
ASKED = "What did your manager say?"


def edited(candidates: Any) -> dict[str, Any]:
    """Replace an agent's candidates before the coordinator, and finish the turn."""
    ranker = FakeRanker(prefer=lambda candidate: float(candidate.topic == ASKED))
    graph = create_cooper(ESC.without_answers(), ranker=ranker).compile(
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


def test_an_entry_of_a_ranking_is_a_candidate() -> None:
    place = {"rank": 1, "score": 0.5, "aspect": "action"}
    marks = {"share": 0.2, "calibration": 0.1, "lift": 0.3}
    candidate = {"topic": ASKED, "strategy": "Question", "source": "bank"}
    first = edited([{**candidate, **place, **marks}])["ranking"][0]
    assert {key: first[key] for key in candidate} == candidate
    assert first["aspect"] == "exploration"
    assert not first.keys() & marks.keys()


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


# A ranking, before the generator -----------------------------------------------------------------


def reranked(ranking: Any, **resources: Any) -> dict[str, Any]:
    """Replace the ranking before the generator, and finish the turn."""
    graph = create_cooper("esc", ranker=FakeRanker(), **resources).compile(
        checkpointer=InMemorySaver(), interrupt_before=["generator"]
    )
    config: Any = {"configurable": {"thread_id": "anna"}}
    graph.invoke({"messages": [HumanMessage("I lost my job.")]}, config)
    graph.update_state(config, {"ranking": ranking}, as_node="coordinator")
    state: dict[str, Any] = graph.invoke(None, config)
    return state


@pytest.mark.parametrize(
    "ranked",
    [ASKED, {"topic": ASKED}, {"topic": f" {ASKED}\n", "aspect": None, "source": ""}],
)
def test_a_short_form_in_a_ranking_is_said_and_completed(ranked: Any) -> None:
    state = reranked([ranked])
    assert state["ranking"] == [
        {"rank": 1, "score": 0.0, "aspect": "passive", "strategy": "", "topic": ASKED,
         "source": "person"}
    ]  # fmt: skip
    assert ASKED in state["messages"][-1].text
    assert "faults" not in state["cooper"]


def test_a_topic_of_an_aspect_keeps_it() -> None:
    state = reranked([{"topic": ASKED, "aspect": "action", "source": "model", "rank": 3}])
    (ranked,) = state["ranking"]
    assert (ranked["aspect"], ranked["source"], ranked["rank"]) == ("action", "model", 3)


@pytest.mark.parametrize("ranking", [None, []])
def test_without_a_ranking_there_is_a_reply(ranking: Any) -> None:
    state = reranked(ranking)
    assert state["ranking"] == []
    assert state["messages"][-1].text


def test_a_short_form_stands_when_the_generator_fails() -> None:
    failing = ScriptedModel(script={"generator": ValueError("down")})
    state = reranked([ASKED], generator_model=failing)
    assert [fault["step"] for fault in state["cooper"]["faults"]] == ["generator"]
    assert state["ranking"][0]["topic"] == ASKED
    assert state["messages"][-1].text


@pytest.mark.parametrize(
    ("ranking", "named"),
    [
        (ASKED, "'ranking' are a str: give a list of topics"),
        ([None], "'ranking' has no topic: give a text"),
        ([{"aspect": "action"}], "'ranking' has no topic: give a text"),
        ([{"topic": ASKED, "strategy": 3}], "no text"),
        ([{"topic": ASKED, "aspect": "weather"}], "'weather': name one of exploration, "),
        ([{"topic": ASKED, "aspect": ["action"]}], r"\['action'\]: name one of"),
        ([{"topic": ASKED, "score": "high"}], "no number"),
    ],
)
def test_any_other_ranking_is_one_sentence(ranking: Any, named: str) -> None:
    with pytest.raises(InputError, match=named):
        reranked(ranking)


# Reports, between turns ---------------------------------------------------------------------------


def continued(changes: Any, said: str = "My boss said so.", task: TaskSpec = ESC) -> dict[str, Any]:
    """Edit an agent's report after a turn, and take another."""
    graph = create_cooper(task, ranker=FakeRanker()).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "anna"}}
    graph.invoke({"messages": [HumanMessage("I lost my job.")]}, config)
    report = graph.get_state(config).values["exploration"]
    edited = {**report, **changes} if isinstance(changes, dict) else changes
    last = "reply_guard" if task.guard else "generator"
    graph.update_state(config, {"exploration": edited}, as_node=last)
    state: dict[str, Any] = graph.invoke({"messages": [HumanMessage(said)]}, config)
    return state


@pytest.mark.parametrize(
    "changes",
    [None, {"state": "She was dismissed."}, {"covers": None}, {"covers": None, "state": ""}],
)
def test_an_edited_report_goes_on_without_a_fault(changes: Any) -> None:
    state = continued(changes)
    assert isinstance(state["exploration"]["state"], str)
    assert not state["exploration"]["faults"]


UNREADABLE: list[tuple[Any, str]] = [
    ("She was dismissed.", "report of 'exploration' is a str: give a mapping.*leave its 'covers'"),
    (["She was dismissed."], "report of 'exploration' is a list: give a mapping"),
    ({"state": 5}, "state of 'exploration' is an int: give a text"),
    ({"state": None}, "state of 'exploration' is a NoneType: give a text"),
    ({"covers": "all"}, "'exploration' covers no number of messages"),
    ({"covers": {"messages": "2"}}, "'exploration' covers no number of messages"),
]


@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize(("changes", "named"), UNREADABLE)
def test_any_other_report_is_one_sentence(changes: Any, named: str, guarded: bool) -> None:
    task = ESC if guarded else ESC.model_copy(update={"guard": None})
    with pytest.raises(InputError, match=named):
        continued(changes, task=task)


@pytest.mark.parametrize(("changes", "_"), UNREADABLE)
def test_a_crisis_is_answered_whatever_a_report_was_edited_to(changes: Any, _: str) -> None:
    state = continued(changes, "I want to die")
    assert state["guard"]["fired"]
    assert "988" in state["messages"][-1].text
