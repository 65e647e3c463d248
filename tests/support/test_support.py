"""The test doubles keep what they promise, and no test leaves this machine."""

from __future__ import annotations

import socket
import time

import httpx
import pytest
from langchain_core.messages import SystemMessage

from tests.support.openai_server import OpenAIServer, Reply
from tests.support.scripted import ScriptedModel

GENERATOR = "Write your next utterance."


def ask(server: OpenAIServer, *, stream: bool = False) -> httpx.Response:
    messages = [{"role": "system", "content": GENERATOR}]
    body = {"model": "m", "messages": messages, "stream": stream}
    return httpx.post(f"{server.url}/chat/completions", json=body, timeout=60)


def test_a_whole_stream_ends_and_a_cut_one_does_not() -> None:
    with OpenAIServer(lambda _: Reply("One two three four.")) as server:
        whole = ask(server, stream=True).text
        server.reply = lambda _: Reply("One two three four.", cut=True)
        cut = ask(server, stream=True).text
        with pytest.raises(httpx.RemoteProtocolError):
            ask(server)
    assert whole.endswith("data: [DONE]\n\n")
    assert '"finish_reason": "stop"' in whole
    assert "two" in cut
    assert "three" not in cut
    assert "[DONE]" not in cut
    assert '"finish_reason": "stop"' not in cut
    assert len(server.requests) == 3


def test_status_headers_and_raw_bodies() -> None:
    with OpenAIServer(lambda _: Reply(status=429, headers={"Retry-After": "90"})) as server:
        limited = ask(server)
        server.reply = lambda _: Reply(raw=b"<html>")
        page = ask(server)
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "90")
    assert limited.json()["error"]["message"] == "scripted"
    assert (page.text, page.headers["content-type"]) == ("<html>", "text/html")


def test_closing_ends_a_delay() -> None:
    began = time.monotonic()
    with (
        OpenAIServer(lambda _: Reply("Late.", delay=60)) as server,
        pytest.raises(httpx.ReadTimeout),
    ):
        httpx.post(f"{server.url}/chat/completions", json={"model": "m"}, timeout=0.2)
    assert time.monotonic() - began < 30


async def test_a_scripted_model_takes_its_time_and_knows_what_was_unused() -> None:
    model = ScriptedModel(script={"generator": "Hi.", "tracker": "No."}, delay=0.05)
    prompt = [SystemMessage(GENERATOR)]
    assert model.invoke(prompt).text == (await model.ainvoke(prompt)).text == "Hi."
    assert "".join(chunk.text for chunk in model.stream(prompt)) == "Hi."
    assert all(call.ended - call.began >= 0.05 for call in model.calls)
    assert len(model.asked("generator")) == 3
    assert model.unused() == {"tracker"}


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("example.org", 80)])
def test_sockets_stay_on_the_loopback(address: tuple[str, int]) -> None:
    with socket.socket() as outward, pytest.raises(ConnectionRefusedError, match="loopback"):
        outward.connect(address)
