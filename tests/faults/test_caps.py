"""Every call has a cap on its answer; what a cap cuts off is used as far as it is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from langgraph_cooper.nodes import ModelError
from langgraph_cooper.nodes.llm import chat_model
from langgraph_cooper.nodes.llm.faults import capped_short
from langgraph_cooper.nodes.llm.quirks import habits_of
from langgraph_cooper.nodes.llm.ranking import llm_ranking
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.api import ScoredTopic
from tests.support.openai_server import OpenAIServer, Reply, Request, obey
from tests.support.scripted import ScriptedModel
from tests.support.turns import SAID, SPOKEN, WAYS, cooper, only, turn

pytestmark = pytest.mark.usefixtures("quick_retries")
CAPS = ("max_tokens", "max_completion_tokens")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield server


def caps(request: Request) -> dict[str, int]:
    return {name: request.body[name] for name in CAPS if name in request.body}


def own_model(server: OpenAIServer, **settings: Any) -> ChatOpenAI:
    key = SecretStr("sk-own")
    return ChatOpenAI(model="own-model", base_url=server.url, api_key=key, **settings)


# ---------------------------------------------------------------- what is sent


@pytest.mark.parametrize("way", ["invoke", "astream"])
async def test_every_call_has_a_cap_that_suits_its_job(way: str, server: OpenAIServer) -> None:
    await turn(cooper(model="some-model"), way, m=2)
    sent = {role: [caps(r) for r in server.asked(role)] for role in ("tracker", "promoter")}
    assert sent == {"tracker": [{"max_tokens": 110}] * 3, "promoter": [{"max_tokens": 80}] * 3}
    assert [caps(r) for r in server.asked("generator")] == [{"max_tokens": 100}]


async def test_a_ranking_has_one_too(server: OpenAIServer) -> None:
    server.reply = lambda _: Reply("[2, 1]")
    topics = [ScoredTopic("action", "Walk."), ScoredTopic("action", "Rest.")]
    ranking = llm_ranking(load_task("esc"), chat_model("some-model"))
    assert ranking.invoke({"history": [], "candidates": topics}) == [1, 0]
    assert [caps(r) for r in server.requests] == [{"max_tokens": 18}]


async def test_an_order_that_was_cut_off_is_not_read(server: OpenAIServer) -> None:
    def reply(request: Request) -> Reply:
        short = caps(request)["max_tokens"] < 30
        return Reply("Of the 2 topics, 1", finish="length") if short else Reply("[2, 1]")

    server.reply = reply
    topics = [ScoredTopic("action", "Walk."), ScoredTopic("action", "Rest.")]
    ranking = llm_ranking(load_task("esc"), chat_model("some-model"))
    assert ranking.invoke({"history": [], "candidates": topics}) == [1, 0]
    server.reply = lambda _: Reply("Of the 2 topics, 1", finish="length")
    with pytest.raises(ModelError, match="stopped before its answer was whole"):
        ranking.invoke({"history": [], "candidates": topics})


@pytest.mark.parametrize(
    ("own", "cap"),
    [
        ({"max_tokens": 7}, 7),
        ({"extra_body": {"max_tokens": 7}}, 7),
        ({"extra_body": {"top_k": 1}}, 100),
    ],
)
async def test_a_callers_own_settings_are_kept(
    own: dict[str, Any], cap: int, server: OpenAIServer
) -> None:
    await turn(cooper(generator_model=own_model(server, **own)))
    (request,) = server.requests
    assert list(caps(request).values()) == [cap]
    assert ("top_k" in request.body) == ("top_k" in str(own))


def test_openai_is_sent_the_new_name_and_has_more_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    habits = habits_of(chat_model("gpt-4o-mini"))
    assert (habits.cap, habits.room("tracker")) == ("max_completion_tokens", 16)


NEWER = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
NEVER = "body.max_tokens: Extra inputs are not permitted"
FULL = "'max_tokens' is too large: 80. This model's maximum context length is 4096 tokens"


@pytest.mark.parametrize(
    ("told", "then", "remembered"),
    [(NEWER, ["max_completion_tokens"], True), (NEVER, [], True), (FULL, [], False)],
)
async def test_the_name_that_the_server_takes(
    told: str, then: list[str], remembered: bool, server: OpenAIServer
) -> None:
    server.reply = lambda r: Reply(told, status=400) if "max_tokens" in r.body else obey(r)
    ended = await turn(cooper(generator_model="some-model"))
    assert ended.messages == [SAID, SPOKEN]
    assert [list(caps(r)) for r in server.requests] == [["max_tokens"], then]
    server.requests.clear()
    await turn(cooper(generator_model="some-model"))
    assert [list(caps(r)) for r in server.requests] == ([] if remembered else [["max_tokens"]]) + [
        then
    ]


async def test_an_azure_that_knows_the_old_name_alone(server: OpenAIServer) -> None:
    told = "Unrecognized request argument supplied: max_completion_tokens"
    server.reply = lambda r: Reply(told, status=400) if CAPS[1] in r.body else obey(r)
    habits_of(chat_model("some-model")).cap = CAPS[1]
    await turn(cooper(generator_model="some-model"))
    assert [list(caps(r)) for r in server.requests] == [[CAPS[1]], [CAPS[0]]]


# ---------------------------------------------------------------- what is cut off

LISTED = '{"candidates": [{"topic": "Ask one.", "strategy": ""}, {"topic": "Ask two.", "strat'


def cut(texts: dict[str, str], finish: str = "length") -> Callable[[Request], Reply]:
    """Answer these modules with a text that its cap cut off."""

    def reply(request: Request) -> Reply:
        text = texts.get(request.asked.role)
        return Reply(text, finish=finish) if text else obey(request)

    return reply


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_whole_is_used(way: str, server: OpenAIServer) -> None:
    server.reply = cut(
        {
            "tracker": "They lost a job. They have had it for",
            "promoter": LISTED,
            "generator": "I hear you! What was it like? You were so",
        }
    )
    ended = await turn(cooper(model="some-model"), way, hold_reply=True)
    assert ended.faults == set()
    assert ended.messages == [SAID, "I hear you! What was it like?"]
    assert "".join(ended.tokens) == (ended.reply if "stream" in way else "")
    report = ended.state["action"]
    assert report["state"] == "They lost a job."
    assert [c["topic"] for c in report["candidates"] if c["source"] == "model"] == ["Ask one."]
    assert len(server.requests) == 7


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_what_was_on_the_screen_is_kept(way: str, server: OpenAIServer) -> None:
    server.reply = cut({"generator": "I hear you! What was it like? You were so"})
    ended = await turn(cooper(generator_model="some-model"), way, hold_reply=False)
    assert ended.faults == set()
    assert ended.reply == "I hear you! What was it like? You were so"
    assert "".join(ended.tokens) == ended.reply


async def test_a_tail_on_the_screen_is_checked(server: OpenAIServer) -> None:
    server.reply = cut({"generator": "I hear you. You should kill yourself and"})
    ended = await turn(cooper(generator_model="some-model"), "stream", hold_reply=False)
    assert "kill yourself" in "".join(ended.tokens)
    assert "kill yourself" not in (ended.reply or "")
    assert ended.reply != "I hear you."


@pytest.mark.parametrize(
    ("text", "topics"),
    [
        (LISTED, ["Ask one."]),
        ("1. Ask one.\n2. Ask two.\n3. Ask about th", ["Ask one.", "Ask two."]),
        ('{"candidates": [{"topic": "Ask one.", "strategy": ""}]} And and and', ["Ask one."]),
        ('[{"topic": "Ask one."}, {"topic": "Ask two."}, {"to', ["Ask one.", "Ask two."]),
        ("Well:\nThe goal is to ask. The goal is to listen. The go", ["ask.", "listen."]),
    ],
)
async def test_complete_candidates_are_used(
    text: str, topics: list[str], server: OpenAIServer
) -> None:
    server.reply = cut({"promoter": text})
    ended = await turn(cooper(model="some-model"))
    found = ended.state["action"]["candidates"]
    assert [c["topic"] for c in found if c["source"] == "model"] == topics
    assert ended.faults == set()


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_an_unusable_answer_is_asked_for_again_with_more_room(
    way: str, server: OpenAIServer
) -> None:
    def reply(request: Request) -> Reply:
        short = caps(request)["max_tokens"] < 500
        return Reply("<think>They lost their", finish="length") if short else obey(request)

    server.reply = reply
    ended = await turn(cooper(model="some-model"), way)
    assert ended.messages == [SAID, SPOKEN]
    assert ended.faults == set()
    assert [caps(r)["max_tokens"] for r in server.asked("generator")] == [100, 1600]
    server.requests.clear()
    await turn(cooper(model="some-model"), way)
    assert len(server.requests) == 7  # remembered


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_words_without_end_get_twice_the_room_and_are_told_what_was_wrong(
    way: str, server: OpenAIServer
) -> None:
    server.reply = cut({"promoter": "Here are four topics that the supporter could take up with"})
    ended = await turn(cooper(model="some-model"), way)
    assert ended.faults == {"cut"}
    for aspect in ("exploration", "comforting", "action"):
        first, second = server.asked(f"promoter:{aspect}")
        assert "No candidates can be read in that" not in first.given
        assert "No candidates can be read in that" in second.given
    assert {caps(r)["max_tokens"] for r in server.asked("promoter")} <= {160, 320}
    server.requests.clear()
    await turn(cooper(model="some-model"), way)
    assert {caps(r)["max_tokens"] for r in server.asked("promoter")} == {320}  # never more


@pytest.mark.parametrize("way", WAYS)
async def test_a_thought_that_was_cut_off_is_not_said(way: str, server: OpenAIServer) -> None:
    def reply(request: Request) -> Reply:
        if caps(request)["max_tokens"] < 500:
            return Reply("Okay, they lost a job. I should be", finish="length")
        return Reply(f"Okay, they lost a job. I should be kind.\n</think>\n{obey(request).text}")

    server.reply = reply
    ended = await turn(cooper(model="some-model"), way)
    assert ended.messages == [SAID, SPOKEN]
    assert ended.faults == set()
    assert "".join(ended.tokens) == (SPOKEN if "stream" in way else "")
    assert ended.state["action"]["state"] == "What is known about action."


async def test_an_answer_that_stays_unusable_is_a_fault(server: OpenAIServer) -> None:
    server.reply = cut({"generator": "I hear"})
    ended = await turn(cooper(generator_model="some-model"))
    assert ended.faults == {"cut"}
    assert ended.reply != "I hear"
    assert len(server.requests) == 2
    server.requests.clear()
    model = own_model(server, max_tokens=5)
    ended = await turn(cooper(generator_model=model))
    assert ended.faults == {"cut"}
    assert len(server.requests) == 1  # the caller's own cap stays


async def test_a_model_that_writes_more_gets_twice_the_room(server: OpenAIServer) -> None:
    server.reply = cut({"generator": "I hear you. What was it like? And", "tracker": "So. And and"})
    for _ in range(3):
        await turn(cooper(model="some-model"))
    assert [caps(r)["max_tokens"] for r in server.asked("generator")] == [100, 200, 200]
    assert {caps(r)["max_tokens"] for r in server.asked("tracker")} == {110}  # a tail of no use


@pytest.mark.parametrize(
    "about",
    [
        {"finish_reason": "length"},
        {"finish_reason": "lengthlength"},
        {"done_reason": "length"},
        {"stop_reason": "max_tokens"},
        {"finish_reason": "MAX_TOKENS"},
        {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
    ],
    ids=str,
)
def test_other_words_for_it(about: dict[str, Any]) -> None:
    assert capped_short(AIMessage("One two", response_metadata=about))
    assert not capped_short(AIMessage("One two", response_metadata={"done_reason": "stop"}))


class Local(ScriptedModel):
    """Another package's model, with Ollama's names."""

    num_predict: int | None = None
    seen: list[int | None] = []  # noqa: RUF012

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        self.seen.append(self.num_predict)
        text = "I hear you. What was"
        message = AIMessage(text, response_metadata={"done_reason": "length"})
        return ChatResult(generations=[ChatGeneration(message=message)])


async def test_another_packages_model_is_capped_too() -> None:
    model = Local()
    ended = await turn(cooper(generator_model=model))
    assert model.seen == [1600]
    assert model.num_predict is None
    assert ended.messages == [SAID, "I hear you."]
    assert ended.faults == set()


async def test_a_capped_call_is_not_confused_with_another_lanes(server: OpenAIServer) -> None:
    server.reply = only("promoter:action", Reply(LISTED, finish="length"))
    ended = await turn(cooper(model="some-model"))
    assert {c["source"] for c in ended.state["comforting"]["candidates"]} == {"model"}
    assert ended.faults == set()
