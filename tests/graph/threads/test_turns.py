"""A turn that fails, and the messages that come after it."""

from __future__ import annotations

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph import ModelError, Turns, create_cooper
from tests.support.processes import THREAD, texts
from tests.support.rankers import FakeRanker
from tests.support.scripted import ScriptedModel

FIRST, SECOND = "I lost my job.", "It was last week."
CRISIS = "I want to kill myself."


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel(script={"generator": ModelError("the key is refused")})


@pytest.fixture
def turns(model: ScriptedModel) -> Turns:
    graph = create_cooper("esc", model=model, ranker=FakeRanker())
    return Turns(graph.compile(checkpointer=InMemorySaver()))


def test_a_turn_that_fails_again_does_not_keep_help_from_a_person(turns: Turns) -> None:
    with pytest.raises(ModelError):
        turns.send(THREAD, FIRST)
    assert "988" in turns.send(THREAD, CRISIS).text


async def test_nor_in_async_code(turns: Turns) -> None:
    with pytest.raises(ModelError):
        await turns.asend(THREAD, FIRST)
    assert "988" in (await turns.asend(THREAD, CRISIS)).text


def test_after_two_failures_one_answer_is_to_both(turns: Turns, model: ScriptedModel) -> None:
    for said in (FIRST, SECOND):
        with pytest.raises(ModelError, match="refused"):
            turns.send(THREAD, said)
    model.script = {"generator": "I hear you."}
    assert texts(turns.send(THREAD, None).state) == [FIRST, SECOND, "I hear you."]
