"""What a run may choose where others pay for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph import Allowed, CooperContext, InputError, create_cooper
from langgraph_cooper.prompts import GuardSettings, load_task
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
        ({"strict_guard": False}, "strict_guard off, which is not allowed here: leave it out"),
        ({"hold_reply": False}, "hold_reply off"),
        ({"deadline": 3600}, "deadline 3,600, which is not allowed here: name at most 60, or none"),
        ({"max_calls": 1000}, "max_calls 1,000, .* at most 36"),
        ({"prompt_tokens": 10_000_000}, "prompt_tokens 10,000,000, .* at most 3,000"),
        ({"m": 20}, "m 20, .* at most 3"),
        ({"k": 20}, "k 20, .* at most 3"),
        ({"at_once": 1000}, "at_once 1,000, .* at most 4"),
        (CooperContext(strict_guard=False), "strict_guard off"),
    ],
)
def test_what_is_not_on_the_list_is_refused(context: Any, named: str) -> None:
    allowed = Allowed(models=["small"], goals=["Comfort the person."])
    graph = create_cooper(TASK, allowed=allowed, ranker=FakeRanker()).compile()
    with pytest.raises(InputError, match=named):
        graph.invoke(SAID, context=context)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"model": "offline"},
        {"generator": "bank"},
        {"strict_guard": True, "hold_reply": True, "review": True},
        {"deadline": 10, "max_calls": 1, "prompt_tokens": 1000, "m": 2, "k": 1, "at_once": 1},
        CooperContext(deadline=60),
    ],
)
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


def test_a_strict_guard_stays_strict() -> None:
    task = load_task("esc").model_copy(update={"guard": GuardSettings(strict=True)})
    graph = create_cooper(task, allowed=Allowed(models=[], goals=[]), ranker=FakeRanker())
    compiled = graph.compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "anna"}}

    def say(text: str, context: Any) -> Any:
        return compiled.invoke({"messages": [HumanMessage(text)]}, config, context=context)

    assert say("I want to kill myself.", {})["guard"]["fired"]
    for context in ({"strict_guard": False}, CooperContext(strict_guard=False)):
        with pytest.raises(InputError, match="strict_guard off"):
            say("Yes, I am safe.", context)
    assert say("Yes, I am safe.", {})["guard"]["fired"]


def test_limits_hold_for_runs_that_name_nothing_too() -> None:
    limits = {"deadline": "30", "max_calls": "40", "m": "2"}
    text = ", ".join(f"{option}={value}" for option, value in limits.items())
    allowed = Allowed.from_environment({"COOPER_LIMITS": text})
    schema = allowed.schema(load_task("esc"))
    for options in (schema(), schema(m=None, deadline=30)):
        assert (options.deadline, options.m, options.max_calls) == (30, 2, None)
    assert schema(m=1, max_calls=40).m == 1
    for more in ({"deadline": 31}, {"max_calls": 41}, {"m": 3}):
        with pytest.raises(InputError, match="not allowed here"):
            schema.model_validate(more)
    shown = schema.model_json_schema()["properties"]
    assert shown["deadline"]["maximum"] == 30
    assert shown["max_calls"]["anyOf"][0]["maximum"] == 40
    assert shown["strict_guard"]["enum"] == [True, None]
    assert schema(model="any", goal="Any.").model == "any"


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        ("deadline", "COOPER_LIMITS has 'deadline': write it as option=number"),
        ("deadline=long", "deadline: Input should be a valid number"),
        ("deadlines=1", "the limit 'deadlines' is not known: limit one of m, k"),
        ("strict_guard=1", "the limit 'strict_guard' is not known"),
        ("m=90", "m: Input should be less than or equal to 20"),
    ],
)
def test_limits_that_cannot_be_used_are_named(limits: str, named: str) -> None:
    with pytest.raises(InputError, match=named):
        Allowed.from_environment({"COOPER_LIMITS": limits})


def test_without_the_variables_anything_is_allowed() -> None:
    allowed = Allowed.from_environment({})
    assert allowed == Allowed()
    assert allowed.schema(load_task("esc")) is CooperContext
    assert Allowed.from_environment({"COOPER_MODELS": ""}).models == ()


def test_langgraphs_own_keys_are_no_options() -> None:
    assert CooperContext.model_validate({"thread_id": "anna", "m": 2}) == CooperContext(m=2)
    with pytest.raises(InputError, match="thread: Extra inputs"):
        CooperContext.model_validate({"thread": "anna"})
