"""Prompts stay within the tokens of a small server, however long the messages are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage

from langgraph_cooper.nodes import InputError
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.llm import chat_model
from langgraph_cooper.nodes.llm.material import CUT, LEAST_TOKENS, fitting, tokens_of
from langgraph_cooper.nodes.llm.ranking import llm_ranking
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.api import ScoredTopic
from langgraph_cooper.ranker.data.dialogue import Utterance
from tests.support.openai_server import OpenAIServer, Reply, Request
from tests.support.talk import system, user
from tests.support.turns import SPOKEN, cooper, turn

LIMIT = 3_000
LONG = {"Latin": "I lost my job and I am sad. ", "Cyrillic": "Мне грустно. ", "Han": "我很难过。"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield server


def size(request: Request) -> int:
    return tokens_of([HumanMessage(message["content"]) for message in request.messages])


@pytest.mark.parametrize("script", LONG)
async def test_long_messages_leave_room_for_the_answer(script: str, server: OpenAIServer) -> None:
    graph = cooper(model="some-model")
    text = LONG[script] * (7_000 // len(LONG[script]))
    for number in range(4):
        server.requests.clear()
        ended = await turn(graph, said=f"{text} The end {number}.")
        assert ended.reply == SPOKEN
        assert ended.faults == set()
        assert all(size(request) <= LIMIT for request in server.requests)
        assert all(f"The end {number}." in request.given for request in server.requests)
    for request in [*server.asked("tracker"), *server.asked("promoter")]:
        assert "What is known about" in request.given  # the summaries stay
    assert all("The end 0." not in request.given for request in server.requests)
    assert (CUT in server.requests[0].given) == (script != "Latin")


async def test_a_run_chooses(server: OpenAIServer) -> None:
    said = "I lost my job and I am sad. " * 150
    graph = cooper(model="some-model")
    for limit in (1_000, 100_000):
        server.requests.clear()
        await turn(graph, said=said, prompt_tokens=limit)
        assert (max(map(size, server.requests)) > 1_000) == (limit > 1_000)
        assert any(CUT in r.given for r in server.requests) == (limit == 1_000)


def test_less_than_a_prompt_needs_is_refused() -> None:
    with pytest.raises(InputError, match="prompt_tokens"):
        CooperContext(prompt_tokens=500)


def test_a_ranking_is_bounded_too(server: OpenAIServer) -> None:
    said = [user(LONG["Latin"] * 250), system("Oh."), user("It is me.")] * 5
    topics = [ScoredTopic("action", "Walk."), ScoredTopic("action", "Rest.")]
    ranking = llm_ranking(load_task("esc"), chat_model("some-model"))
    server.reply = lambda _: Reply("[2, 1]")
    assert ranking.invoke({"history": said, "candidates": topics}) == [1, 0]
    assert size(server.requests[0]) <= LIMIT


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=4_000)


@given(st.lists(TEXT, max_size=6), st.integers(-50, 2_000))
def test_the_end_of_a_dialogue_fits(texts: Sequence[str], tokens: int) -> None:
    said = [Utterance("user", text) for text in texts]
    kept = fitting(said, tokens)
    assert len(kept) >= bool(said)
    assert kept[1:] == said[len(said) - len(kept) :][1:]
    if len(kept) > 1 or not kept or kept == said[-1:]:
        cost = sum(tokens_of([HumanMessage(one.text)]) for one in kept)
        assert cost <= max(tokens, LEAST_TOKENS)
    else:
        assert CUT in kept[0].text
        assert len(kept[0].text) < len(texts[-1]) + len(CUT)
        assert tokens_of([HumanMessage(kept[0].text)]) <= max(tokens, LEAST_TOKENS)
