"""Streams that break off: nothing half is kept, and no token is shown twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from langchain_core.messages import HumanMessage

from langgraph_cooper.graph import CooperContext
from langgraph_cooper.nodes.llm import chat_model
from langgraph_cooper.nodes.llm.quirks import habits_of
from tests.support.openai_server import OpenAIServer, Reply
from tests.support.turns import SAID, SPOKEN, THREAD, WAYS, cooper, only, turn

pytestmark = pytest.mark.usefixtures("quick_retries")
ZEBRAS = "Zebras hear you and are glad of it."
ERROR = b'data: {"error": {"message": "overloaded"}}'
BROKEN = {
    "closed": Reply(ZEBRAS, cut=True),
    "broken JSON": Reply(ZEBRAS, broken=b'data: {"choices": ['),
    "an error event": Reply(ZEBRAS, broken=ERROR),
    "an event of another form": Reply(ZEBRAS, broken=b"data: [3]"),
    "no finish reason": Reply(ZEBRAS, finish=None),
    "an error as finish reason": Reply(ZEBRAS, finish="error"),
    "too long": Reply("Zebras hear you and are glad of", finish="length"),
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        habits_of(chat_model("some-model")).thinks = False  # a first answer comes as a whole
        yield server


@pytest.mark.parametrize("way", ["stream", "astream"])
@pytest.mark.parametrize("broken", BROKEN)
async def test_a_cut_stream_is_neither_kept_nor_said_again(
    broken: str, way: str, server: OpenAIServer
) -> None:
    server.reply = lambda _: BROKEN[broken]
    graph = cooper(generator_model="some-model")
    ended = await turn(graph, way)
    assert len(server.requests) == 1  # what was shown is not asked for again
    assert ended.messages.count(SAID) == 1
    assert "".join(ended.tokens).count("Zebras") == 1
    assert "Zebras" not in " ".join(ended.messages)
    assert ended.faults == {"cut"}
    assert ended.reply  # something stood in


@pytest.mark.parametrize("way", ["stream", "astream"])
@pytest.mark.parametrize("broken", [b'data: {"choices": [', ERROR, b"data: [3]", b": ping"])
async def test_a_stream_cut_before_its_first_word_is_tried_again(
    broken: bytes, way: str, server: OpenAIServer
) -> None:
    server.reply = only("generator", Reply(broken=broken), Reply(SPOKEN))
    ended = await turn(cooper(generator_model="some-model"), way)
    assert ended.messages == [SAID, SPOKEN]
    assert "".join(ended.tokens) == SPOKEN
    assert len(server.requests) == 2


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize("finish", [None, "error"])
async def test_an_answer_without_an_end_is_tried_again(
    finish: str | None, way: str, server: OpenAIServer
) -> None:
    server.reply = only("generator", Reply("I hear", finish=finish), Reply(SPOKEN))
    ended = await turn(cooper(generator_model="some-model"), way)
    assert ended.messages == [SAID, SPOKEN]
    assert len(server.requests) == 2
    server.requests.clear()
    server.reply = lambda _: Reply("I hear", finish=finish)
    ended = await turn(cooper(generator_model="some-model"), way)
    assert len(server.requests) == 3
    assert "I hear" not in ended.messages
    assert ended.messages.count(SAID) == 1
    assert ended.faults == {"cut"}


@pytest.mark.parametrize("way", ["stream", "astream"])
@pytest.mark.parametrize("role", ["tracker", "promoter"])
async def test_an_agents_cut_stream_is_tried_again(
    role: str, way: str, server: OpenAIServer
) -> None:
    cut = Reply("What is known about it.", cut=True)
    key = f"{role}:action"
    server.reply = only(key, cut, cut, Reply('["What is known."]'))
    ended = await turn(cooper(model="some-model"), way)
    assert len(server.asked(key)) == 3
    assert ended.messages == [SAID, SPOKEN]
    assert "".join(ended.tokens) == SPOKEN


@pytest.mark.parametrize("way", WAYS)
async def test_a_word_of_the_servers_reaches_the_person(way: str, server: OpenAIServer) -> None:
    server.reply = lambda _: Reply(broken=ERROR) if "stream" in way else Reply("I", cut=True)
    ended = await turn(cooper(generator_model="some-model"), way)
    assert len(server.requests) == 3
    assert ended.messages.count(SAID) == 1
    (fault,) = ended.state["cooper"]["faults"]
    told = "broke off its answer: overloaded" if "stream" in way else "cannot be reached; start"
    assert told in fault["message"]


async def test_events_are_streamed_once_too(server: OpenAIServer) -> None:
    server.reply = lambda _: BROKEN["closed"]
    graph = cooper(generator_model="some-model")
    said = {"messages": [HumanMessage(SAID)]}
    tokens = []
    async for event in graph.astream_events(said, THREAD, version="v2"):
        if event["event"] == "on_chat_model_stream":
            tokens.append(event["data"]["chunk"].text)
    assert len(server.requests) == 1
    assert "".join(tokens).startswith("Zebras hear you and ")
    assert "".join(tokens).count("Zebras") == 1


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol:Warning")
async def test_the_newer_protocol_of_events_streams_once_too(server: OpenAIServer) -> None:
    """There LangChain does without `on_llm_new_token`."""
    server.reply = lambda _: BROKEN["closed"]
    graph = cooper(generator_model="some-model")
    context = CooperContext(hold_reply=False)
    said = {"messages": [HumanMessage(SAID)]}
    run = await graph.astream_events(said, THREAD, context=context, version="v3")
    texts = [[text async for text in message.text] async for message in run.messages]
    assert len(server.requests) == 1
    assert str(texts).count("Zebras") == 1
