"""Empty, unreadable and withheld answers of a model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from langgraph_cooper.nodes import ModelError
from langgraph_cooper.nodes.backend import GeneratorInput, PromoterInput, TrackerInput
from langgraph_cooper.nodes.llm import (
    chat_model,
    llm_generator,
    llm_promoter,
    llm_tracker,
    quirks,
)
from langgraph_cooper.prompts import load_task
from tests.support.openai_server import OpenAIServer, Reply, Request, obey
from tests.support.talk import ranking, rounds
from tests.support.turns import SAID, SPOKEN, cooper, done, only, turn

pytestmark = pytest.mark.usefixtures("quick_retries")
ESC = load_task("esc")
ASPECT = ESC.aspects[0]
HISTORY = rounds(2)
GIVEN = {
    "tracker": TrackerInput(aspect=ASPECT, previous="", said=HISTORY),
    "promoter": PromoterInput(aspect=ASPECT, history=HISTORY, state="They lost a job.", m=2),
    "generator": GeneratorInput(history=HISTORY, topics=ranking([("action", "Ask.")])),
}
ROLES = tuple(GIVEN)
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield server


def step(role: str, model: Any = "some-model") -> Runnable[Any, Any]:
    chat = chat_model(model)
    if role == "tracker":
        return llm_tracker(ESC, chat)
    if role == "generator":
        return llm_generator(ESC, chat)
    return llm_promoter(ESC, chat, RunnableLambda(lambda _: []))


def streaming(server: OpenAIServer) -> ChatOpenAI:
    return ChatOpenAI(
        model="own-model", base_url=server.url, api_key=SecretStr("sk-own"), streaming=True
    )


async def fails(role: str, server: OpenAIServer, requests: int) -> set[str]:
    """Return the kinds of the errors, sync and async, whole and streamed, and count requests."""
    kinds = set()
    for asking in (step(role), step(role, streaming(server))):
        for call in (asking.invoke, asking.ainvoke):
            server.requests.clear()
            with pytest.raises(ModelError) as caught:
                await done(call(GIVEN[role]))
            assert len(server.requests) == requests
            assert "\n" not in str(caught.value)
            kinds.add(caught.value.kind)
    return kinds


# ------------------------------------------------------- bodies that are no completion

BODIES = {
    "HTML": b"<html><body>It works!</body></html>",
    "nothing": b"",
    "plain text": b"hello",
    "null": b"null",
    "a list": b"[]",
    "an empty object": b"{}",
    "an error": b'{"error": {"message": "full"}}',
    "null choices": b'{"choices": null}',
    "no choices": b'{"choices": []}',
    "choices of nothing": b'{"choices": [null]}',
    "no message": b'{"choices": [{"finish_reason": "stop"}]}',
    "half of it": b'{"choices": [{"message": {"role": "assis',
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("body", BODIES)
async def test_a_body_that_is_no_completion(body: str, role: str, server: OpenAIServer) -> None:
    kind = {} if body == "HTML" else JSON
    server.reply = lambda _: Reply(raw=BODIES[body], headers=kind)
    assert await fails(role, server, 1) == {"nonsense"}


# ------------------------------------------------------- answers that cannot be read


def content(text: str | None) -> Reply:
    """A whole completion with this content."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return Reply(raw=json.dumps({"choices": [choice]}).encode(), headers=JSON)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("text", ["", " \n", "<think>I wonder what", "<thinking>1. a</thinking>"])
async def test_an_empty_answer_is_mended_once(text: str, role: str, server: OpenAIServer) -> None:
    server.reply = lambda _: content(text)
    asking = step(role)
    for call in (asking.invoke, asking.ainvoke):
        server.requests.clear()
        with pytest.raises(ModelError, match=f"an answer that the {role} cannot use") as caught:
            await done(call(GIVEN[role]))
        assert caught.value.kind == "nonsense"
        first, second = server.requests
        assert second.messages[: len(first.messages)] == first.messages
        roles = [message["role"] for message in second.messages[len(first.messages) :]]
        assert roles == ["assistant", "user"]


async def test_content_that_is_null(server: OpenAIServer) -> None:
    server.reply = lambda _: content(None)
    with pytest.raises(ModelError, match="cannot use"):
        step("tracker").invoke(GIVEN["tracker"])
    assert len(server.requests) == 2


UNREADABLE = [
    "I would ask about their job, and then about their wife.",
    "[]",
    "{}",
    "null",
    '{"candidates": []}',
    '{"candidates": {"topic": 3}}',
    '[{"topic": ["a"]}, {"strategy": "Question"}, 7, true]',
    '{"type": "object", "properties": {"candidates": {"type": "array"}}}',
    '{"error": {"message": "no"}}',
]


@pytest.mark.parametrize("text", UNREADABLE)
async def test_a_list_that_cannot_be_read_is_mended_once(text: str, server: OpenAIServer) -> None:
    server.reply = only("promoter", Reply(text))
    assert await fails("promoter", server, 2) == {"nonsense"}
    assert server.requests[1].messages[-2]["content"] == text
    assert "Answer with JSON alone" in server.requests[1].messages[-1]["content"]


async def test_a_mended_list_is_taken_in_a_turn(server: OpenAIServer) -> None:
    def reply(request: Request) -> Reply:
        first = len(request.messages) == 2
        return Reply("Gladly!") if request.asked.role == "promoter" and first else obey(request)

    server.reply = reply
    ended = await turn(cooper(model="some-model"))
    assert ended.messages == [SAID, SPOKEN]
    assert len(server.requests) == 10
    assert ended.state["action"]["candidates"][0]["topic"] == "Topic 1 of action"
    assert {c["source"] for c in ended.state["action"]["candidates"]} == {"model"}


# ------------------------------------------------------- refused, withheld, cut off


@pytest.mark.parametrize("role", ROLES)
async def test_what_is_withheld_is_not_asked_for_again(role: str, server: OpenAIServer) -> None:
    server.reply = lambda _: Reply("One two three.", finish="content_filter")
    assert await fails(role, server, 1) == {"refusal"}


@pytest.mark.parametrize("role", ROLES)
async def test_a_refusal_is_not_asked_for_again(role: str, server: OpenAIServer) -> None:
    server.reply = lambda _: Reply(refusal="I cannot help with that.")
    asking = step(role)
    for call in (asking.invoke, asking.ainvoke):
        server.requests.clear()
        with pytest.raises(ModelError, match="refused to answer") as caught:
            await done(call(GIVEN[role]))
        assert caught.value.kind == "refusal"
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("about", "kind"),
    [
        ({"stop_reason": "refusal"}, "refusal"),
        ({"finish_reason": "SAFETY"}, "refusal"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "refusal"),
    ],
    ids=str,
)
def test_other_words_for_it(about: dict[str, Any], kind: str) -> None:
    from langgraph_cooper.nodes.llm.faults import checked
    from tests.support.scripted import ScriptedModel

    with pytest.raises(ModelError) as caught:
        checked(AIMessage("One two", response_metadata=about), ScriptedModel())
    assert caught.value.kind == kind


# ------------------------------------------------------- an endpoint without structured output


async def test_asking_plainly_is_a_call_of_the_budget(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plain_only(request: Request) -> Reply:
        return Reply(status=400) if "response_format" in request.body else obey(request)

    server.reply = plain_only
    graph = cooper(model="some-model")
    ended = await turn(graph, max_calls=10)
    assert ended.messages == [SAID, SPOKEN]
    # Each promoter is refused: a guess that helped once may have been luck.
    assert len(server.requests) == 10
    monkeypatch.setattr(quirks, "APART", 0.0)
    await turn(graph, max_calls=10)
    server.requests.clear()
    await turn(graph, max_calls=7)  # from now on it is asked plainly
    assert len(server.requests) == 7


async def test_a_request_that_is_wrong_either_way_changes_nothing(server: OpenAIServer) -> None:
    server.reply = lambda _: Reply(status=400)
    asking = step("promoter")
    with pytest.raises(ModelError, match="status 400"):
        asking.invoke(GIVEN["promoter"])
    server.reply = obey
    # In full, without it, three other guesses, without all of that; and then in full again.
    plainer = [True, False, True, True, True, False]
    asking.invoke(GIVEN["promoter"])
    assert ["response_format" in r.body for r in server.requests] == [*plainer, True]


# ------------------------------------------------------- in a turn


@pytest.mark.parametrize("body", [*BODIES, "prose", "filtered"])
async def test_the_users_message_is_kept_once(body: str, server: OpenAIServer) -> None:
    others = {"prose": Reply("Certainly!"), "filtered": Reply("No.", finish="content_filter")}
    server.reply = lambda _: others.get(body) or Reply(raw=BODIES[body], headers=JSON)
    ended = await turn(cooper(model="some-model"))
    assert ended.messages.count(SAID) == 1
    assert len(server.requests) <= 28
    assert ended.reply
    assert "<html>" not in ended.reply
