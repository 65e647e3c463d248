"""Whole turns with several faults, from the endpoint to the thread."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from langchain_core.messages import HumanMessage

from langgraph_cooper.graph import Turns
from langgraph_cooper.nodes import ModelError
from tests.support.openai_server import OpenAIServer, Reply, obey
from tests.support.turns import SAID, SPOKEN, WAYS, cooper, only, turn

pytestmark = pytest.mark.usefixtures("quick_retries")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield server


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("status", "kind"), [(429, "rate_limit"), (500, "server")])
async def test_a_server_that_tells_everybody_to_wait_ninety_seconds(
    status: int, kind: str, way: str, server: OpenAIServer
) -> None:
    graph = cooper(model="some-model")
    server.reply = lambda _: Reply(status=status, headers={"Retry-After": "90"})
    for round_, said in enumerate((SAID, "Are you there?"), start=1):
        server.requests.clear()
        ended = await turn(graph, way, said)
        assert ended.error is None
        assert ended.seconds < 60
        assert ended.faults == {kind}
        assert len(server.requests) == 7  # each asked once: nobody waits, nobody asks again
        assert len(ended.messages) == 2 * round_
        assert ended.reply
    server.reply = obey
    ended = await turn(graph, way, "Good.")
    assert ended.messages[-2:] == ["Good.", SPOKEN]
    assert ended.faults == set()


@pytest.mark.parametrize("streamed", [False, True], ids=["send", "stream"])
@pytest.mark.parametrize(
    ("broken", "left"), [("tracker", 7), ("tracker:action", 3), ("generator", 1)]
)
def test_a_turn_whose_key_was_refused_is_sent_again(
    broken: str, left: int, streamed: bool, server: OpenAIServer
) -> None:
    turns = Turns(cooper(model="some-model"))
    message = HumanMessage(SAID, id="m-1")

    def send() -> None:
        if streamed:
            list(turns.stream("anna", message))
        else:
            turns.send("anna", message)

    server.reply = only(broken, Reply(status=401))
    for _ in range(2):
        with pytest.raises(ModelError, match="refuses the key"):
            send()
    server.requests.clear()
    server.reply = obey
    send()
    assert len(server.requests) == left  # what had finished is not asked again
    again = turns.send("anna", message)
    assert again.repeated
    assert [m.text for m in again.state["messages"]] == [SAID, SPOKEN]
    assert len(server.requests) == left
