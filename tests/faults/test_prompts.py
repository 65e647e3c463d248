"""Prompts stay within the tokens of a small server, however long the messages are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage

from langgraph_cooper.nodes import InputError
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.llm import chat_model
from langgraph_cooper.nodes.llm.call import Question, UnreadableError, ask
from langgraph_cooper.nodes.llm.material import CUT, LEAST_TOKENS, fitting, tokens_of
from langgraph_cooper.nodes.llm.quirks import Habits
from langgraph_cooper.nodes.llm.ranking import llm_ranking
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.api import ScoredTopic
from langgraph_cooper.ranker.data.dialogue import Utterance
from tests.support.openai_server import OpenAIServer, Reply, Request, obey
from tests.support.talk import system, user
from tests.support.turns import SPOKEN, cooper, done, only, turn

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


def counting(factor: float) -> Callable[[Request], Reply]:
    """Answer obediently, and count so many times the tokens that we do."""

    def reply(request: Request) -> Reply:
        message = {"role": "assistant", "content": obey(request).text}
        tokens = round(factor * size(request))
        usage = {"prompt_tokens": tokens, "completion_tokens": 1, "total_tokens": tokens + 1}
        body = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}
        return Reply(raw=json.dumps(body).encode(), headers={"Content-Type": "application/json"})

    return reply


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize(
    ("factor", "limit"), [(0.1, LIMIT), (1.5, LIMIT // 1.5), (5, LIMIT // 3), (50, LIMIT)]
)
async def test_a_server_that_counts_more_gets_shorter_prompts(
    factor: float, limit: float, way: str, server: OpenAIServer
) -> None:
    server.reply = counting(factor)
    graph = cooper(generator_model="some-model")
    text = LONG["Cyrillic"] * 500
    for number, most in enumerate((LIMIT, LIMIT, limit, limit)):  # the second report confirms it
        await turn(graph, way, said=f"{text} The end {number}.")
        (request,) = server.requests
        assert 0.9 * most - 100 < size(request) <= most + 10
        assert f"The end {number}." in request.given
        server.requests.clear()


@pytest.mark.parametrize("way", ["stream", "astream"])
@pytest.mark.parametrize("chunks", [2, 5])
async def test_usage_in_each_chunk_of_a_stream_is_no_count(
    chunks: int, way: str, server: OpenAIServer
) -> None:
    def reply(request: Request) -> Reply:
        usage = {"prompt_tokens": size(request), "completion_tokens": 1, "total_tokens": 1}
        ends = [None] * (chunks - 1) + ["stop"]
        sent = [
            {"choices": [{"index": 0, "delta": {"content": "Yes. "}, "finish_reason": end}]}
            for end in ends
        ]
        lines = [f"data: {json.dumps({**chunk, 'usage': usage})}\n\n" for chunk in sent]
        body = "".join([*lines, "data: [DONE]\n\n"]).encode()
        return Reply(raw=body, headers={"Content-Type": "text/event-stream"})

    server.reply = reply
    graph = cooper(generator_model="some-model")
    for number in range(3):
        ended = await turn(graph, way, said=f"{LONG['Cyrillic'] * 500} The end {number}.")
        assert ended.faults == set()
    assert all(request.streaming for request in server.requests)
    assert size(server.requests[-1]) > 0.9 * LIMIT - 100


def test_only_what_two_long_prompts_confirm_makes_prompts_shorter() -> None:
    habits = Habits(FakeListChatModel(responses=[""]))
    for counted, ours, factor in [
        (900, 300, 1.0),  # a short prompt with a long template
        (900, 300, 1.0),
        (6_000, 2_000, 1.0),  # not confirmed
        (2_000, 2_000, 1.0),
        (6_000, 2_000, 1.0),
        (4_000, 2_000, 2.0),  # confirmed, as far as both say
        (200, 200, 1.9),
        (None, 1_000, 1.81),  # no report that can be used
        (200_000, 1_000, 1.729),
    ]:
        habits.count(counted, ours, int(LIMIT / habits.token_factor))
        assert habits.token_factor == pytest.approx(factor)


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_a_repair_after_too_long_a_prompt_shows_the_answer(
    way: str, server: OpenAIServer
) -> None:
    def read(_: object, answer: AIMessage) -> str:
        if answer.text.startswith("Gladly"):
            raise UnreadableError("That is no verdict.")
        return answer.text

    model = chat_model("some-model")
    long = [HumanMessage("I lost my job. " * 2_000)]
    question = Question("tracker", (), model, model, lambda _: [*long], read)
    server.reply = lambda r: Reply("Gladly! " * 200 if len(r.messages) == 1 else "Yes.")
    assert await done(getattr(ask(question), way)(None)) == "Yes."
    shown = server.requests[1].messages[-2]["content"]
    assert shown.startswith("Gladly!")
    assert 190 <= len(shown) <= 200


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize("wrong", ["Gladly! " * 300, "Да. " * 600], ids=["Latin", "Cyrillic"])
async def test_a_repair_stays_within_the_limit(wrong: str, way: str, server: OpenAIServer) -> None:
    repaired = Reply('["What is known."]')
    server.reply = only("promoter:action", Reply(wrong), repaired)
    text = LONG["Cyrillic"] * 500
    ended = await turn(cooper(model="some-model"), way, said=f"{text} The end.")
    assert ended.faults == set()
    first, second = server.asked("promoter:action")
    assert LIMIT - 400 < size(first) < size(second) <= LIMIT
    assert wrong[:20] in second.given
    assert "No candidates can be read in that." in second.given


async def test_a_short_prompt_shows_the_whole_answer_in_a_repair(server: OpenAIServer) -> None:
    server.reply = only("promoter:action", Reply("Gladly! " * 60), Reply('["What is known."]'))
    await turn(cooper(model="some-model"))
    assert ("Gladly! " * 60).strip() in server.asked("promoter:action")[1].given


async def test_a_repair_obeys_what_the_first_answer_taught(server: OpenAIServer) -> None:
    counts = counting(1.5)

    def reply(request: Request) -> Reply:
        raw = counts(request).raw or b""
        mended = any(message["role"] == "assistant" for message in request.messages)
        if request.asked.key == "promoter:action" and not mended:
            whole = json.loads(raw)
            whole["choices"][0]["message"]["content"] = "Gladly!"
            raw = json.dumps(whole).encode()
        return Reply(raw=raw, headers={"Content-Type": "application/json"})

    server.reply = reply
    ended = await turn(cooper(model="some-model"), said=f"{LONG['Cyrillic'] * 500} The end.")
    assert ended.faults == set()
    assert size(server.asked("promoter:action")[1]) <= LIMIT / 1.5 + 10


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
