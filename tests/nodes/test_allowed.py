"""What a run may choose by name where others pay for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from langgraph_cooper.graph import Allowed, CooperContext, InputError, create_cooper
from tests.support.rankers import FakeRanker

TASK = Path(__file__).parents[2] / "examples/negotiation.toml"  # without a guard, so quick
SAID = {"messages": [HumanMessage("I lost my job.")]}


@pytest.mark.parametrize(
    ("context", "named"),
    [
        (
            {"model": "large"},
            "the model 'large', which is not allowed here: name one of small, off",
        ),
        ({"model": "bank"}, "the model 'bank'"),  # the endpoint would be asked for it
        ({"generator": "large"}, "the generator 'large'"),
        ({"generator_model": "large"}, "the generator_model 'large'"),
        ({"goal": "Sell a car."}, "a goal that is not allowed here: name one of its 1"),
        # Not a client's: such a context is not read by LangGraph, but by the nodes.
        (CooperContext(model="large"), "the model 'large'"),
        (CooperContext(goal="Sell a car."), "a goal that is not allowed"),
    ],
)
def test_what_is_not_on_the_list_is_refused(context: Any, named: str) -> None:
    allowed = Allowed(models=["small"], goals=["Comfort the person."])
    graph = create_cooper(TASK, allowed=allowed, ranker=FakeRanker()).compile()
    with pytest.raises(InputError, match=named):
        graph.invoke(SAID, context=context)  # type: ignore[call-overload]


@pytest.mark.parametrize("context", [{}, {"model": "offline"}, {"generator": "bank"}])
def test_what_needs_no_key_is_allowed(context: Any) -> None:
    allowed = Allowed(models=[], goals=[])
    graph = create_cooper(TASK, allowed=allowed, ranker=FakeRanker()).compile()
    state = graph.invoke(SAID, context=context)  # type: ignore[call-overload]
    assert state["messages"][-1].text


def test_the_schema_shows_the_choice() -> None:
    allowed = Allowed.from_environment(
        {"COOPER_MODELS": "small, large", "COOPER_GOALS": "A.\nB.\n"}
    )
    assert allowed == Allowed(("small", "large"), ("A.", "B."))
    schema = create_cooper("esc", allowed=allowed).compile().get_context_jsonschema()
    assert schema is not None
    options = schema["properties"]
    assert options["model"]["enum"] == ["small", "large", "offline", None]
    assert options["generator"]["enum"] == ["small", "large", "offline", "bank", "finetuned", None]
    assert options["goal"]["enum"] == ["A.", "B.", None]
    assert "enum" not in options["country"]


def test_without_the_variables_anything_is_allowed() -> None:
    allowed = Allowed.from_environment({})
    assert allowed == Allowed()
    assert allowed.schema() is CooperContext
    assert Allowed.from_environment({"COOPER_MODELS": ""}).models == ()


def test_langgraphs_own_keys_are_no_options() -> None:
    assert CooperContext.model_validate({"thread_id": "anna", "m": 2}) == CooperContext(m=2)
    with pytest.raises(InputError, match="thread: Extra inputs"):
        CooperContext.model_validate({"thread": "anna"})
