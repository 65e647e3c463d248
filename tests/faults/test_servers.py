"""Servers that are not OpenAI's: what they refuse is asked plainly, once and for all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from langgraph_cooper.nodes.llm import call, chat_model, quirks
from tests.support.openai_server import OpenAIServer, Reply, Request, obey
from tests.support.turns import SAID, SPOKEN, WAYS, cooper, only, turn

pytestmark = pytest.mark.usefixtures("quick_retries")
JSON = {"Content-Type": "application/json"}
EVENTS = {"Content-Type": "text/event-stream"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield server


# ---------------------------------------------------------------- what is refused


def roles(request: Request) -> list[str]:
    return [message["role"] for message in request.messages]


def structured(request: Request) -> bool:
    return "response_format" in request.body


def has_system(request: Request) -> bool:
    return not {"system", "developer"}.isdisjoint(roles(request))


def unsorted(request: Request) -> bool:
    """Whether roles do not alternate from the user's on, as the first templates of Llama want."""
    said = roles(request)
    return said[0] != "user" or any(one == other for one, other in pairwise(said))


Refuses = Callable[[Request], bool]


def has_cap(request: Request) -> bool:
    return "max_tokens" in request.body


REFUSALS: dict[str, tuple[Refuses, int, str]] = {
    "no system role": (has_system, 400, "System role not supported"),
    "no system role, by a template": (has_system, 500, "Error: System role not supported"),
    "no developer role": (has_system, 422, "Input should be 'user' or 'assistant'; loc: role"),
    "roles alternate": (unsorted, 400, "Conversation roles must alternate user/assistant/user/..."),
    "no response_format": (structured, 400, "Unknown parameter: 'response_format'."),
    "extra inputs": (structured, 422, "body.response_format: Extra inputs are not permitted"),
    "grammar": (structured, 500, "failed to parse grammar"),
    "not implemented": (structured, 501, "no"),
    "no reason": (structured, 400, "scripted"),
    "no reason at all": (structured, 500, "internal error"),
    "no system role, no reason": (has_system, 400, "Bad Request"),
    "no system role, no reason, in other words": (has_system, 501, "no"),
    "no system role, no reason at all": (has_system, 500, "internal error"),
    "no cap, no reason": (has_cap, 422, "Unprocessable Entity"),
    "no cap, no reason at all": (has_cap, 500, "internal error"),
}
BARE = {"no", "scripted", "internal error", "Bad Request", "Unprocessable Entity"}  # no reason


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_what_is_refused_is_asked_plainly(
    refusal: str, way: str, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuses, status, told = REFUSALS[refusal]

    def reply(request: Request) -> Reply:
        return Reply(told, status=status) if refuses(request) else obey(request)

    server.reply = reply
    # On a busy machine the first request may take longer than the others wait for it.
    monkeypatch.setattr(call, "FIRST_ALONE", 60.0)
    name = "o3-like" if "developer" in refusal else "some-model"
    ended = await turn(cooper(model=name), way)
    assert ended.messages == [SAID, SPOKEN]
    assert ended.faults == set()
    assert {c["source"] for c in ended.state["action"]["candidates"]} == {"model"}
    refused = [r.asked.role for r in server.requests if refuses(r)]
    # The first request goes alone. A refusal without a reason is believed when it comes again.
    if told in BARE:
        assert refused
        monkeypatch.setattr(quirks, "APART", 0.0)
        await turn(cooper(model=name))
    else:
        assert len(refused) == 1
    server.requests.clear()
    ended = await turn(cooper(model=name))
    assert ended.faults == set()
    assert len(server.requests) == 7  # remembered for the process


async def test_all_at_once(server: OpenAIServer) -> None:
    def reply(request: Request) -> Reply:
        for refuses, status, told in REFUSALS.values():
            if refuses(request):
                return Reply(told, status=status)
        return obey(request)

    server.reply = reply
    ended = await turn(cooper(model="some-model"), said=SAID)
    ended = await turn(cooper(model="some-model"), said=SAID)
    assert ended.messages == [SAID, SPOKEN]
    assert ended.faults == set()
    for request in server.requests[-7:]:
        assert SAID in request.given
        assert request.asked  # the instructions are in the user's first message


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_guesses_in_vain_are_not_remembered(way: str, server: OpenAIServer) -> None:
    server.reply = lambda r: Reply("Bad Request", status=400) if has_system(r) else obey(r)
    await turn(cooper(model="some-model"), way)
    server.requests.clear()
    await turn(cooper(model="some-model"), way)
    assert all(has_cap(r) for r in server.requests)
    assert all(structured(r) for r in server.asked("promoter"))


async def test_two_refusals_without_a_reason(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reply(request: Request) -> Reply:
        refuses = has_system(request) or has_cap(request)
        return Reply("Bad Request", status=400) if refuses else obey(request)

    server.reply = reply
    monkeypatch.setattr(quirks, "APART", 0.0)
    for _ in range(2):
        ended = await turn(cooper(generator_model="some-model"))
        assert (ended.messages, ended.faults) == ([SAID, SPOKEN], set())
    server.requests.clear()
    await turn(cooper(generator_model="some-model"))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (400, "Incorrect API key provided"),
        (400, "some-model is not a valid model ID"),
        (422, "The model `some-model` does not exist"),
        (400, "Budget has been exceeded"),
        (400, "The model has crashed without additional information"),
        (500, "The model has crashed without additional information"),
        (400, "Invalid prompt: it was flagged as violating our policy"),
        (401, "Bad Request"),
        (403, "Bad Request"),
        (404, "Bad Request"),
    ],
)
async def test_a_reason_is_not_guessed_at(status: int, told: str, server: OpenAIServer) -> None:
    server.reply = lambda _: Reply(told, status=status)
    await turn(cooper(generator_model="some-model"))
    assert len(server.requests) == (3 if status == 500 else 1)
    assert all(has_system(r) and has_cap(r) for r in server.requests)


async def test_a_prompt_that_is_too_long_is_not_guessed_at(server: OpenAIServer) -> None:
    server.reply = lambda _: Reply("context_length_exceeded", status=400)
    await turn(cooper(generator_model="some-model"))
    # The server's own cap may fit.
    assert [(has_system(r), has_cap(r)) for r in server.requests] == [(True, True), (True, False)]


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize("status", [400, 422, 501])
async def test_a_series_of_guesses_in_vain_is_not_repeated(
    status: int, way: str, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call, "FIRST_ALONE", 60.0)
    server.reply = lambda _: Reply("Bad Request", status=status)
    await turn(cooper(model="some-model"), way)
    assert len(server.requests) <= 16
    server.requests.clear()
    await turn(cooper(model="some-model"), way)
    assert len(server.requests) <= 7  # in the next minute each question is asked once
    server.reply = lambda r: Reply("Bad Request", status=status) if has_system(r) else obey(r)
    monkeypatch.setattr(quirks, "FUTILE", 0.0)
    quirks.habits_of(chat_model("some-model")).give_up()  # the minute is over
    ended = await turn(cooper(model="some-model"), way)
    assert (ended.reply, ended.faults) == (SPOKEN, set())


@pytest.mark.parametrize("status", [400, 422, 501])
async def test_a_guess_that_helped_once_is_not_remembered(
    status: int, server: OpenAIServer
) -> None:
    refused = Reply("Bad Request", status=status)
    server.reply = only("generator", refused, Reply(SPOKEN))
    ended = await turn(cooper(generator_model="some-model"))
    assert (ended.reply, ended.faults) == (SPOKEN, set())
    assert [has_system(r) for r in server.requests] == [True, False]
    server.requests.clear()
    await turn(cooper(generator_model="some-model"))
    assert [has_system(r) for r in server.requests] == [True]


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_a_request_that_is_wrong_either_way_ends_the_turn(
    way: str, server: OpenAIServer
) -> None:
    server.reply = lambda _: Reply("Bad Request", status=400)
    ended = await turn(cooper(generator_model="some-model"), way)
    assert ended.error is not None
    assert ended.error.kind == "configuration"
    assert len(server.requests) == 5  # in full, three guesses, all of them
    server.reply = obey
    server.requests.clear()
    await turn(cooper(generator_model="some-model"), way)
    assert [(has_system(r), has_cap(r)) for r in server.requests] == [(True, True)]


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_a_model_with_one_temperature_keeps_it(
    way: str, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = "Unsupported value: 'temperature' does not support 0.3 with this model."

    def chosen(request: Request) -> bool:
        return "temperature" in request.body

    server.reply = lambda r: Reply(told, status=400) if chosen(r) else obey(r)
    monkeypatch.setattr(call, "FIRST_ALONE", 60.0)
    ended = await turn(cooper(model="some-model"), way, temperature=0.3)
    assert ended.messages == [SAID, SPOKEN]
    assert ended.faults == set()
    assert sum(map(chosen, server.requests)) == 1
    assert structured(server.asked("promoter")[-1])  # nothing else is left out
    server.requests.clear()
    await turn(cooper(model="some-model"), way, temperature=0.3)
    assert not any(map(chosen, server.requests))


async def test_another_model_at_the_endpoint_is_asked_in_full(server: OpenAIServer) -> None:
    server.reply = lambda r: Reply("grammar", status=500) if structured(r) else obey(r)
    await turn(cooper(model="some-model"))
    server.requests.clear()
    server.reply = obey
    await turn(cooper(model="other-model"))
    assert [structured(r) for r in server.asked("promoter")] == [True] * 3


async def test_a_passing_fault_is_not_remembered(server: OpenAIServer) -> None:
    server.reply = only("promoter:action", Reply(status=500), Reply('["What is known."]'))
    ended = await turn(cooper(model="some-model"))
    assert ended.faults == set()
    server.requests.clear()
    await turn(cooper(model="some-model"))
    assert [structured(r) for r in server.asked("promoter")] == [True] * 3


async def test_passing_faults_with_a_success_between_are_not_remembered(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quirks, "APART", 0.0)
    for _ in range(2):
        server.reply = only("promoter:action", Reply(status=500), Reply('["What is known."]'))
        await turn(cooper(model="some-model"))
        server.reply = obey
        server.requests.clear()
        await turn(cooper(model="some-model"))
        assert [structured(r) for r in server.asked("promoter")] == [True] * 3


def test_two_passing_faults_hours_apart_are_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    model = FakeListChatModel(responses=[""])
    clock = 0.0
    monkeypatch.setattr(quirks.time, "monotonic", lambda: clock)
    habits = quirks.Habits(model)
    for clock in (1.0, 7_201.0):  # noqa: B007  # read by the lambda
        habits.learn([quirks.PLAIN_TEXT], certain=False)
    assert not habits.quirks
    clock += 2 * quirks.APART
    habits.learn([quirks.PLAIN_TEXT], certain=False)
    assert habits.quirks == {quirks.PLAIN_TEXT}


async def test_a_passing_fault_before_a_repair_is_not_remembered(server: OpenAIServer) -> None:
    replies = Reply(status=500), Reply("Gladly!"), Reply('["What is known."]')
    server.reply = only("promoter:action", *replies)
    ended = await turn(cooper(model="some-model"))
    assert ended.faults == set()
    assert len(server.asked("promoter")) == 5
    server.requests.clear()
    await turn(cooper(model="some-model"))
    assert [structured(r) for r in server.asked("promoter")] == [True] * 3


async def test_a_passing_fault_of_all_lanes_is_not_remembered(server: OpenAIServer) -> None:
    failed: set[str] = set()

    def reply(request: Request) -> Reply:
        if request.asked.role == "promoter" and request.asked.key not in failed:
            failed.add(request.asked.key)
            return Reply(status=500)
        return obey(request)

    server.reply = reply
    ended = await turn(cooper(model="some-model"))
    assert ended.faults == set()
    assert len(failed) == 3
    server.requests.clear()
    await turn(cooper(model="some-model"))
    assert [structured(r) for r in server.asked("promoter")] == [True] * 3


async def test_a_repair_keeps_to_what_the_server_takes(server: OpenAIServer) -> None:
    def reply(request: Request) -> Reply:
        if has_system(request):
            return Reply("Only user and assistant roles are supported!", status=400)
        mended = len(request.messages) > 1 or request.asked.role != "promoter"
        return obey(request) if mended else Reply("Gladly!")

    server.reply = reply
    ended = await turn(cooper(model="some-model"))
    assert ended.messages == [SAID, SPOKEN]
    assert ended.faults == set()
    assert ["user", "assistant", "user"] in [roles(r) for r in server.asked("promoter")]


# ---------------------------------------------------------------- thoughts

THOUGHT = "They lost a job, so be kind.\n</think>\n\n"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("before", [THOUGHT, f"<think>{THOUGHT}"], ids=["only closed", "whole"])
async def test_thoughts_are_not_said(before: str, way: str, server: OpenAIServer) -> None:
    server.reply = lambda request: Reply(before + obey(request).text)
    ended = await turn(cooper(model="some-model"), way)
    assert ended.messages == [SAID, SPOKEN]
    assert ended.faults == set()
    assert ended.state["action"]["state"] == "What is known about action."
    assert "".join(ended.tokens) == (SPOKEN if "stream" in way else "")


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_a_first_reply_shows_no_thought_either(way: str, server: OpenAIServer) -> None:
    server.reply = lambda request: Reply(THOUGHT + obey(request).text)
    ended = await turn(cooper(generator_model="some-model"), way)
    assert "".join(ended.tokens) == SPOKEN
    assert ended.messages == [SAID, SPOKEN]


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_only_the_first_reply_of_an_unknown_model_waits_for_its_end(
    way: str, server: OpenAIServer
) -> None:
    graph = cooper(generator_model="some-model")
    assert (await turn(graph, way)).tokens == [SPOKEN]
    ended = await turn(graph, way)
    assert len(ended.tokens) == len(SPOKEN.split())
    assert "".join(ended.tokens) == SPOKEN


@pytest.mark.parametrize("way", ["invoke", "stream"])
async def test_one_tag_does_not_make_a_thinker(way: str, server: OpenAIServer) -> None:
    habits = quirks.habits_of(chat_model("some-model"))
    server.reply = lambda _: Reply(f"You wrote: </think> {SPOKEN}")
    await turn(cooper(generator_model="some-model"), way)
    assert habits.thinks
    server.reply = obey
    ended = await turn(cooper(generator_model="some-model"), way)
    assert ended.messages == [SAID, SPOKEN]
    assert not habits.thinks


async def test_a_stream_cut_in_its_thoughts_is_tried_again(server: OpenAIServer) -> None:
    cut = Reply("<think>They lost a job, so be kind and gentle.", cut=True)
    server.reply = only("generator", cut, Reply(SPOKEN))
    ended = await turn(cooper(generator_model="some-model"), "stream")
    assert "".join(ended.tokens) == SPOKEN
    assert ended.faults == set()


# ---------------------------------------------------------------- other forms of an answer


def chunk(delta: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **more}


def words(**more: Any) -> list[dict[str, Any]]:
    return [chunk({"content": piece, **more}) for piece in ("I hear ", "you.")]


USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
BLOCKS = [{"type": "text", "text": "I hear "}, {"type": "text", "text": "you."}]
STREAMS = {
    "reasoning": [chunk({"reasoning_content": "Be kind."}), *words(), chunk({}, "stop")],
    "null content": [chunk({"content": None, "reasoning": "Hm"}), *words(), chunk({}, "stop")],
    "empty deltas": [chunk({}), chunk(None), *words(), chunk({"content": ""}), chunk({}, "stop")],
    "blocks": [chunk({"content": [block]}) for block in BLOCKS] + [chunk({}, "stop")],
    "usage alone": [*words(), chunk({}, "stop"), {**chunk({}), "choices": [], "usage": USAGE}],
    "finished twice": [*words(), chunk({}, "stop"), chunk({}, "stop", usage=USAGE)],
    "finished with its last word": [words()[0], chunk({"content": "you."}, "stop")],
    "a tool call": [
        *words(),
        chunk(
            {"tool_calls": [{"index": 0, "id": "1", "function": {"name": "f", "arguments": ""}}]}
        ),
        chunk({}, "tool_calls"),
    ],
}


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # the client's, of blocks
@pytest.mark.parametrize("way", ["stream", "astream"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("form", STREAMS)
async def test_streams_of_other_forms(
    form: str, end: bytes, way: str, server: OpenAIServer
) -> None:
    events = [b": ping", *(b"data: " + json.dumps(c).encode() for c in STREAMS[form])]
    raw = b"".join(event + end + end for event in [*events, b"data: [DONE]"])
    server.reply = lambda _: Reply(raw=raw, headers=EVENTS)
    ended = await turn(cooper(generator_model="some-model"), way)
    assert ended.messages == [SAID, "I hear you."]
    assert "".join(ended.tokens) == "I hear you."
    assert ended.faults == set()
    reply = ended.state["messages"][-1]
    assert reply.content == "I hear you."
    assert (reply.tool_calls, reply.invalid_tool_calls) == ([], [])


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize(
    "message",
    [
        {"content": BLOCKS},
        {"content": [{"type": "text", "text": text} for text in ("I hear you.", "Go on.")]},
        {"reasoning_content": "Be kind."},
    ],
)
async def test_whole_answers_of_other_forms(message: dict[str, Any], server: OpenAIServer) -> None:
    message = {"role": "assistant", "content": "I hear you.", **message}
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    server.reply = lambda _: Reply(raw=json.dumps(body).encode(), headers=JSON)
    ended = await turn(cooper(generator_model="some-model"))
    spoken = "I hear you. Go on." if "Go on." in str(message) else "I hear you."
    assert ended.messages == [SAID, spoken]
    assert ended.faults == set()


async def test_a_callers_own_model_is_learnt_too(server: OpenAIServer) -> None:
    server.reply = lambda r: Reply("System role", status=400) if has_system(r) else obey(r)
    own = ChatOpenAI(model="own-model", base_url=server.url, api_key=SecretStr("sk-own"))
    await turn(cooper(model=own))
    server.requests.clear()
    await turn(cooper(model="own-model"))
    assert len(server.requests) == 7
