"""The number and duration of requests, measured at the endpoint."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import formatdate
from itertools import pairwise
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import SecretStr

from langgraph_cooper.graph import CooperContext, create_cooper
from langgraph_cooper.graph.agent import create_agent
from langgraph_cooper.nodes import InputError, ModelError
from langgraph_cooper.nodes.backend import TrackerInput
from langgraph_cooper.nodes.llm import budget, chat_model, llm_tracker
from langgraph_cooper.nodes.llm.retry import retry_after
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.prompts import AspectSpec, help_texts, load_task
from tests.support.openai_server import OpenAIServer, Reply
from tests.support.rankers import FakeRanker
from tests.support.scripted import ScriptedModel
from tests.support.talk import user
from tests.support.turns import SAID, SPOKEN, THREAD, WAYS, cooper, done, only, turn

pytestmark = pytest.mark.usefixtures("quick_retries")
ESC = load_task("esc")
GIVEN = TrackerInput(aspect=ESC.aspects[0], previous="", said=[user(SAID)])
LONG = Reply("What is known.", delay=120)
SOON = 30.0  # seconds, on a machine that is busy with other things


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield server


def tracker(model: Any = "some-model") -> Any:
    return llm_tracker(ESC, chat_model(model))


def own_model(server: OpenAIServer, **settings: Any) -> ChatOpenAI:
    return ChatOpenAI(
        model="own-model", base_url=server.url, api_key=SecretStr("sk-own"), **settings
    )


async def fails(asking: Any, way: str = "invoke") -> ModelError:
    call = getattr(asking, way)
    with pytest.raises(ModelError) as caught:
        await done(call(GIVEN))
    return caught.value


# ---------------------------------------------------------------- retries

NO_CREDIT = b'{"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}'
FILTERED = b'{"error": {"message": "Filtered by policy", "code": "content_filter"}}'
JSON = {"Content-Type": "application/json"}
STATUSES = [
    (Reply(status=400), 5, "configuration"),  # more and more plainly
    (Reply(status=400, raw=FILTERED, headers=JSON), 1, "refusal"),
    (Reply(status=401), 1, "configuration"),
    (Reply(status=402), 1, "configuration"),
    (Reply(status=403), 1, "configuration"),
    (Reply(status=404), 1, "configuration"),
    (Reply(status=408), 3, "server"),
    (Reply(status=413), 1, "configuration"),
    (Reply(status=422), 5, "configuration"),
    (Reply(status=429), 3, "rate_limit"),
    (Reply(status=429, raw=NO_CREDIT, headers=JSON), 1, "configuration"),
    (Reply(status=500), 3, "server"),
    (Reply(status=501), 5, "server"),  # as 400: no attempt more
    (Reply(status=503), 3, "server"),
    (Reply(status=503, headers={"x-should-retry": "false"}), 1, "server"),
    (Reply("One two.", cut=True), 3, "connection"),
]


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize(
    ("reply", "requests", "kind"), STATUSES, ids=lambda x: getattr(x, "status", None)
)
async def test_only_what_may_pass_is_tried_again(
    reply: Reply, requests: int, kind: str, way: str, server: OpenAIServer
) -> None:
    server.reply = lambda _: reply
    assert (await fails(tracker(), way)).kind == kind
    assert len(server.requests) == requests


LASTING = [
    Reply(status=429, raw=NO_CREDIT, headers=JSON),
    Reply(status=401),
]
HOPELESS = "I keep hoping a bus will hit me"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("reply", LASTING, ids=lambda reply: reply.status)
async def test_a_question_about_safety_needs_neither_credit_nor_key(
    reply: Reply, way: str, server: OpenAIServer
) -> None:
    server.reply = lambda _: reply
    for models in (
        {"guard_model": "one"},
        {"model": "one"},
        {"model": "one", "guard_model": "two"},
    ):
        ended = await turn(cooper(**models), way, HOPELESS)
        assert ended.error is None
        assert ended.state["guard"]["tier"] == "concern"
        assert (ended.reply or "").startswith(help_texts().ask["suicide"][0])
        assert ended.faults == {"configuration"}
        if "guard_model" not in models:  # the promoters do not ask again
            roles = {request.asked.role for request in server.requests}
            assert roles == {"tracker", "generator"}
        server.requests.clear()


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_nor_does_the_question_that_is_asked_once_more(
    way: str, server: OpenAIServer
) -> None:
    server.reply = lambda _: LASTING[1]
    graph = cooper(guard_model="one")
    await turn(graph, way, HOPELESS)
    ended = await turn(graph, way, "The weather is mild here at the lake.")  # which nobody fears
    assert ended.error is None
    assert ended.state["guard"]["tier"] == "concern"
    assert (ended.reply or "").startswith(help_texts().ask["suicide"][1])


@pytest.mark.parametrize("way", WAYS)
async def test_without_a_fear_a_lack_of_credit_ends_the_turn(
    way: str, server: OpenAIServer
) -> None:
    server.reply = lambda _: LASTING[0]
    ended = await turn(cooper(model="one", guard_model="two"), way)
    assert "no credit left" in str(ended.error)
    assert ended.reply is None


async def test_the_guards_own_lack_of_credit_ends_no_turn(server: OpenAIServer) -> None:
    server.reply = lambda _: LASTING[0]
    ended = await turn(cooper(guard_model="two"), said="My boss is mean to all in the office.")
    assert (ended.state["guard"]["tier"], ended.faults) == ("none", {"configuration"})
    assert ended.reply
    assert [request.asked.role for request in server.requests] == ["guard"]


@pytest.mark.parametrize("settings", [{}, {"max_retries": 5}, {"max_retries": 0}], ids=str)
async def test_a_callers_own_model_does_not_multiply_retries(
    settings: dict[str, int], server: OpenAIServer
) -> None:
    model = own_model(server, **settings)
    server.reply = lambda _: Reply(status=500)
    await fails(tracker(model))
    await fails(tracker(model), "ainvoke")
    assert len(server.requests) == 6
    assert model.max_retries == settings.get("max_retries")  # the caller's object is as it was
    assert model.root_client.max_retries == settings.get("max_retries", 2)


def test_a_callers_own_client_is_left_alone(server: OpenAIServer) -> None:
    model = own_model(server)
    model.client = own_model(server, max_retries=0).client
    copy: Any = chat_model(model)
    assert copy.client is model.client
    assert copy.root_async_client.max_retries == 0


async def test_a_caller_s_own_timeout_is_kept(server: OpenAIServer) -> None:
    server.reply = lambda _: LONG
    for way in ("invoke", "ainvoke"):
        began = time.monotonic()
        error = await fails(tracker(own_model(server, timeout=0.2)), way)
        assert error.kind == "timeout"
        assert 0.6 <= time.monotonic() - began < SOON
    assert server.arrived(6) == 6


async def test_another_packages_model_is_asked_once() -> None:
    model = ScriptedModel(script={"tracker": ConnectionResetError("by peer")})
    assert (await fails(llm_tracker(ESC, model))).kind == "cut"
    assert len(model.calls) == 1


@pytest.mark.parametrize("way", WAYS)
async def test_a_fault_that_passes_is_not_noticed(way: str, server: OpenAIServer) -> None:
    server.reply = only("generator", Reply(status=503), Reply(status=429), Reply(SPOKEN))
    ended = await turn(cooper(model="some-model"), way)
    assert ended.messages == [SAID, SPOKEN]
    assert "".join(ended.tokens) == (SPOKEN if "stream" in way else "")
    assert len(server.asked("generator")) == 3
    assert len(server.requests) == 9


@pytest.mark.parametrize("header", ["retry-after-ms", "Retry-After"])
async def test_a_server_is_left_alone_as_long_as_it_asks(header: str, server: OpenAIServer) -> None:
    headers = {header: "400" if header.endswith("ms") else "0.4"}
    server.reply = only("tracker", Reply(status=429, headers=headers), Reply("What is known."))
    assert tracker().invoke(GIVEN) == "What is known."
    assert await tracker().ainvoke(GIVEN) == "What is known."
    first, second = (request.at for request in server.requests[:2])
    assert 0.4 <= second - first < SOON


@pytest.mark.parametrize("way", ["invoke", "astream"])
@pytest.mark.parametrize("status", [429, 500])
async def test_a_wait_beyond_the_deadline_is_not_begun(
    status: int, way: str, server: OpenAIServer
) -> None:
    server.reply = only("generator", Reply(status=status, headers={"Retry-After": "90"}))
    ended = await turn(cooper(model="some-model"), way)
    assert ended.seconds < SOON
    assert len(server.asked("generator")) == 1
    assert ended.messages.count(SAID) == 1
    assert ended.reply


async def test_the_wait_is_told(server: OpenAIServer) -> None:
    server.reply = lambda _: Reply(status=429, headers={"Retry-After": "90"})
    error = await fails(tracker())
    assert str(error).endswith(
        "allows no more requests for 90 s (status 429); wait, or check the account's limits"
    )
    assert error.wait == 90


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "7", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "7", "retry-after-ms": "soon"}, 7),
        ({"retry-after": formatdate(time.time() + 10_000, usegmt=True)}, 10_000),
        ({"retry-after": formatdate(time.time() - 10_000, usegmt=True)}, 0),
        ({"retry-after": "Fri, 31 Feb 2026 25:00:00 GMT"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, float("inf")),
        ({"retry-after": "tomorrow"}, None),
    ],
    ids=range(11),
)
def test_both_forms_of_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    found = retry_after(headers)
    assert found == (seconds and pytest.approx(seconds, rel=0.2))


def test_attempts_draw_apart(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langgraph_cooper.nodes.llm.retry.FIRST_WAIT", 0.2)
    server.reply = lambda _: Reply(status=500)
    with pytest.raises(ModelError):
        tracker().invoke(GIVEN)
    gaps = [after.at - before.at for before, after in pairwise(server.requests)]
    assert gaps[0] >= 0.1
    assert gaps[1] >= 0.2


# -------------------------------------------------------------- the budget


@pytest.mark.parametrize("way", ["invoke", "astream"])
async def test_lanes_share_a_budget_and_the_last_call_is_the_generators(
    way: str, server: OpenAIServer
) -> None:
    graph = cooper(model="some-model")
    ended = await turn(graph, way, max_calls=7)
    assert ended.messages == [SAID, SPOKEN]
    assert len(server.requests) == 7
    server.requests.clear()
    ended = await turn(graph, way, "It was last week.", max_calls=4)
    # A quick lane's promoter may come before a slow lane's tracker.
    assert len(server.asked("tracker")) + len(server.asked("promoter")) == 3
    assert len(server.asked("generator")) == 1
    assert ended.messages[-2:] == ["It was last week.", SPOKEN]
    assert ended.faults == {"budget"}
    server.requests.clear()
    server.reply = only("generator", Reply(status=500))
    ended = await turn(graph, way, "I am tired.", max_calls=8)
    assert len(server.asked("generator")) == 2
    assert ended.messages.count("I am tired.") == 1
    assert ended.faults == {"server"}  # what the server said, not that no call was left


async def test_a_storm_of_faults_is_bounded(server: OpenAIServer) -> None:
    server.reply = lambda _: Reply(status=500)
    ended = await turn(cooper(model="some-model"))
    assert len(server.requests) == 21  # three attempts each, of at most 28
    assert ended.messages.count(SAID) == 1
    assert ended.reply


@pytest.mark.parametrize("way", ["invoke", "astream"])
async def test_a_resumed_turn_has_a_budget_of_its_own(way: str, server: OpenAIServer) -> None:
    graph = cooper(model="some-model")
    server.reply = only("generator", Reply(status=404))
    failed = await turn(graph, way, max_calls=7)
    assert failed.error is not None
    server.reply = only("generator", Reply(status=500), Reply(SPOKEN))
    ended = await turn(graph, way, again=True, max_calls=7)
    assert ended.messages == [SAID, SPOKEN]
    assert len(server.asked("generator")) == 3


def test_every_place_in_a_host_graph_has_a_budget_of_its_own(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "SPARE", 1)  # seven calls a turn
    talk = create_cooper("esc", model="some-model", ranker=FakeRanker())
    host = StateGraph(MessagesState)
    for name in ("one", "other"):  # side by side in one run
        host.add_node(name, talk.compile())
        host.add_edge(START, name)
    host.add_node("between", lambda _: {"messages": [HumanMessage("And now?")]})
    host.add_edge(["one", "other"], "between")
    host.add_node("again", talk.compile())
    host.add_edge("between", "again")
    state = host.compile().invoke({"messages": [HumanMessage(SAID)]})
    kinds = [HumanMessage, AIMessage, AIMessage, HumanMessage, AIMessage]
    assert [type(message) for message in state["messages"]] == kinds
    assert {message.text for message in state["messages"] if message.type == "ai"} == {SPOKEN}
    assert len(server.requests) == 21


def test_a_node_may_be_moved_into_a_deeper_subgraph(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deeper(aspect: AspectSpec, resources: Resources) -> Any:
        agent = create_agent(aspect, resources)
        wrapped: Any = StateGraph(agent.state_schema, output_schema=agent.output_schema)
        wrapped.add_node("within", agent.compile())
        wrapped.add_edge(START, "within")
        return wrapped

    monkeypatch.setattr("langgraph_cooper.graph.agent.create_agent", deeper)
    talk = create_cooper("esc", model="some-model", ranker=FakeRanker()).compile()
    host = StateGraph(MessagesState)
    for name in ("one", "other"):
        host.add_node(name, talk)
        host.add_edge(START, name)
    server.reply = lambda _: Reply(status=500)
    monkeypatch.setattr(budget, "SPARE", 1)
    host.compile().invoke({"messages": [HumanMessage(SAID)]})
    assert len(server.asked("tracker")) + len(server.asked("promoter")) == 2 * 6
    assert len(server.asked("generator")) == 2  # the call kept for it, in the same budget


async def test_budgets_are_forgotten(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "_budgets", {})
    monkeypatch.setattr(budget, "LOADING", 0)
    graph = cooper(model="some-model")
    for way in WAYS:
        await turn(graph, way)
        assert budget._budgets == {}
    server.reply = only("tracker", Reply(status=401))  # such a turn never asks its generator
    await turn(graph, deadline=0.1)
    time.sleep(0.2)
    server.reply = only("generator", Reply(status=401))
    await turn(graph)
    assert budget._budgets == {}


# ------------------------------------------------------------- the deadline

DRIPS = Reply("What is known " * 1_000, drip=0.1, chunk_delays=(0.1,))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("slow", [LONG, DRIPS], ids=["hangs", "drips"])
async def test_a_slow_reply_ends_with_the_deadline(
    slow: Reply, way: str, server: OpenAIServer
) -> None:
    server.reply = lambda _: slow
    ended = await turn(cooper(generator_model="some-model"), way, deadline=0.5)
    assert ended.seconds < SOON
    assert server.arrived(1) == 1
    assert ended.messages.count(SAID) == 1
    assert not any("What is known" in said for said in ended.messages)  # no part of it is kept
    begun = "".join(ended.tokens).startswith("What")
    assert ended.faults == {"cut" if begun else "timeout"}
    assert ended.reply  # something stood in


@pytest.mark.parametrize(
    ("slow", "way"), [(LONG, "ainvoke"), (DRIPS, "invoke")], ids=["hangs", "drips"]
)
async def test_a_slow_agent_leaves_the_others_their_time(
    slow: Reply, way: str, server: OpenAIServer
) -> None:
    server.reply = only("tracker", slow)
    ended = await turn(cooper(model="some-model"), way, deadline=4.0)
    assert ended.seconds < SOON
    assert ended.messages.count(SAID) == 1
    assert ended.seconds >= 0.4 * 4.0
    assert "timeout" in ended.faults
    assert len(server.asked("generator")) == 1
    assert ended.reply == SPOKEN


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_any_model_is_given_up_on(way: str) -> None:
    model = ScriptedModel(delay=2 * SOON)
    ended = await turn(cooper(generator_model=model), way, deadline=0.3)
    assert ended.seconds < SOON  # nobody waited for the model
    assert ended.messages.count(SAID) == 1
    (fault,) = ended.state["cooper"]["faults"]
    assert fault["kind"] == "timeout"
    assert "'scripted' did not answer in time" in fault["message"]


@pytest.mark.parametrize(
    "wrong", [{"deadline": 0}, {"deadline": float("nan")}, {"max_calls": 0}, {"deadline": 10_000}]
)
def test_a_context_out_of_bounds_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        cooper().invoke({"messages": [HumanMessage(SAID)]}, THREAD, context=wrong)
    with pytest.raises(InputError):
        CooperContext(**wrong)
