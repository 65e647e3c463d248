"""`langgraph dev` serves both graphs, asked as LangGraph Studio asks."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk import get_sync_client

from langgraph_cooper.graph import as_event
from tests.support.openai_server import OpenAIServer, Reply, Request, obey

ROOT = Path(__file__).parents[2]
START_SECONDS = 300
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/docs")


class Server:
    def __init__(self, port: int) -> None:
        self._root = self.url = f"http://127.0.0.1:{port}"

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return json.loads(self.raw(path, body))

    def raw(self, path: str, body: dict[str, Any] | None = None) -> bytes:
        request = urllib.request.Request(
            self._root + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=300) as answer:
            data: bytes = answer.read()
        return data

    def assistant(self, graph: str) -> str:
        (found,) = self.ask("/assistants/search", {"graph_id": graph})
        return str(found["assistant_id"])


@pytest.fixture(scope="module")
def endpoint() -> Iterator[OpenAIServer]:
    with OpenAIServer() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, endpoint: OpenAIServer) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("studio") / "server.log"
    command = [str(Path(sys.executable).with_name("langgraph")), "dev", "--no-browser"]
    environment = {
        **os.environ,
        "LANGSMITH_TRACING": "false",
        # Else it takes up what another server, of another worker's tests too, has left in ROOT.
        "LANGGRAPH_DISABLE_FILE_PERSISTENCE": "true",
        "OPENAI_BASE_URL": endpoint.url,
        "OPENAI_API_KEY": "sk-of-the-test",
    }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--no-reload", "--port", str(port)],
            cwd=ROOT, stdout=output, stderr=output, env=environment,
        )  # fmt: skip
        try:
            yield _started(process, log)
        finally:
            process.terminate()
            process.wait(timeout=60)


def _started(process: subprocess.Popen[bytes], log: Path) -> Server:
    """The server, at the address that it tells: by now another program may have the port."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if told := ADDRESS.search(log.read_text("utf-8", "replace")):
            server = Server(int(told[1]))
            with suppress(OSError):
                server.ask("/ok")
                return server
        time.sleep(0.3)
    pytest.fail(f"the server did not start: {log.read_text(encoding='utf-8')[-2000:]}")


def test_xray_shows_the_agents_inside(server: Server) -> None:
    for graph, aspect in (("esc", "exploration"), ("persuasion", "proposition")):
        drawn = server.ask(f"/assistants/{server.assistant(graph)}/graph?xray=1")
        nodes = {node["id"] for node in drawn["nodes"]}
        assert {f"{aspect}:{step}" for step in ("tracker", "promoter", "progression")} <= nodes
        assert {"coordinator", "generator"} <= nodes


def test_schemas_read_well(server: Server) -> None:
    schemas = server.ask(f"/assistants/{server.assistant('esc')}/schemas")
    assert next(iter(schemas["input_schema"]["properties"])) == "messages"
    assert "ranking" not in schemas["input_schema"]["properties"]
    state = schemas["state_schema"]
    assert {"exploration", "comforting", "action", "ranking"} <= set(state["properties"])
    report = state["$defs"]["AspectReport"]
    assert {"state", "candidates", "progress", "targets"} <= set(report["properties"])
    assert schemas["output_schema"]["properties"]
    context = schemas["context_schema"]["properties"]
    assert {"model", "temperature", "m", "k", "goal"} <= set(context)
    assert all(field.get("description") for field in context.values())


def test_a_turn_is_streamed_and_kept_in_its_thread(server: Server) -> None:
    thread = server.ask("/threads", {})["thread_id"]
    said = {"role": "user", "content": "I got laid off last week and I feel anxious."}
    raw = server.raw(
        f"/threads/{thread}/runs/stream",
        {
            "assistant_id": server.assistant("esc"),
            "input": {"messages": [said]},
            "stream_mode": ["messages-tuple", "updates"],
            "context": {"m": 2},
        },
    ).decode()
    assert "event: error" not in raw, raw
    assert raw.count("event: messages") > 3
    state = server.ask(f"/threads/{thread}/state")
    assert [message["type"] for message in state["values"]["messages"]] == ["human", "ai"]
    assert len(state["values"]["exploration"]["candidates"]) == 2
    assert state["next"] == []


def test_a_remote_graph_gives_events_alone_and_as_a_node(server: Server) -> None:
    asked: Any = {"messages": [{"role": "user", "content": "I lost my job."}]}
    with get_sync_client(url=server.url) as client:
        cooper = RemoteGraph("esc", sync_client=client)
        state: Any = cooper.invoke(asked)
        assert [message["type"] for message in state["messages"]] == ["human", "ai"]
        host = StateGraph(MessagesState)
        host.add_node("support", cooper)
        host.add_edge(START, "support")
        for graph in (cooper, host.compile()):
            parts: Any = graph.stream(asked, stream_mode=["custom"], subgraphs=True)
            kinds = Counter(event.type for *_, data in parts if (event := as_event(data)))
            assert kinds.keys() == {"agent", "ranking", "reply"}
            assert kinds["reply"] == 1


def test_what_fails_is_seen_and_the_turn_goes_on(server: Server, endpoint: OpenAIServer) -> None:
    def reply(request: Request) -> Reply:
        failed = request.asked.key in ("promoter:action", "generator")
        return Reply(status=500, headers={"x-should-retry": "false"}) if failed else obey(request)

    endpoint.reply = reply
    thread = server.ask("/threads", {})["thread_id"]
    raw = server.raw(
        f"/threads/{thread}/runs/stream",
        {
            "assistant_id": server.assistant("esc"),
            "input": {"messages": [{"role": "user", "content": "I lost my job."}]},
            "stream_mode": ["messages-tuple", "updates"],
            "stream_subgraphs": True,
            # The first turn loads the ranker, which takes a busy machine a minute.
            "context": {"model": "m", "deadline": 600},
        },
    ).decode()
    assert "event: error" not in raw, raw
    assert "cooper_stands_in" in raw
    values = server.ask(f"/threads/{thread}/state")["values"]
    assert [message["type"] for message in values["messages"]] == ["human", "ai"]
    assert values["messages"][-1]["response_metadata"]["cooper_stands_in"] == "server"
    assert [fault["kind"] for fault in values["action"]["faults"]] == ["server"]
    assert {candidate["source"] for candidate in values["action"]["candidates"]} == {"bank"}
    assert {candidate["source"] for candidate in values["comforting"]["candidates"]} == {"model"}
    assert [fault["kind"] for fault in values["cooper"]["faults"]] == ["server"]


@pytest.mark.parametrize(
    ("said", "context", "named"),
    [
        ("Hello", {"temperature": 9}, "temperature: Input should be less than or equal to 2"),
        ("  ", {}, "the message is empty"),
    ],
)
def test_what_the_caller_can_mend_is_told(
    server: Server, said: str, context: dict[str, Any], named: str
) -> None:
    body = {
        "assistant_id": server.assistant("esc"),
        "input": {"messages": [{"role": "user", "content": said}]},
        "context": context,
    }
    try:
        answer = server.raw("/runs/wait", body).decode()
    except urllib.error.HTTPError as error:
        answer = error.read().decode()
    assert named in answer
