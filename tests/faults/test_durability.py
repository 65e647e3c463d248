"""A process that dies in the middle of a turn loses nothing that it had acknowledged."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.openai_server import OpenAIServer, Reply, Request, obey
from support.processes import FIRST, SECOND, run
from support.rankers import FakeRanker

from langgraph_cooper.graph import create_cooper
from langgraph_cooper.prompts import load_task

ESC = load_task("esc")
SEVEN = Counter([f"{r}:{a}" for r in ("tracker", "promoter") for a in ESC.aspect_names])
SEVEN["generator"] = 1
ANSWER = "I hear you, and I am glad you told me."
WHOLE = [FIRST, ANSWER, SECOND, ANSWER]
BESIDE = {"review"}  # waits for a person, and only after a crisis
# A draft that nobody has checked is not saved: it is written anew.
ANEW = {"reply_guard": Counter(["generator"])}


def _nodes() -> list[str]:
    drawn = create_cooper("esc", ranker=FakeRanker()).compile().get_graph(xray=1)
    return [name for name in drawn.nodes if not name.startswith("__") and name not in BESIDE]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kills")


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


def endpoint(server: OpenAIServer) -> dict[str, str]:
    return {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-test"}


def asked(server: OpenAIServer, model: str) -> Counter[str]:
    return Counter(r.asked.key for r in server.requests if r.body["model"] == model)


def kill(when: str, nodes: list[str], server: OpenAIServer, folder: Path) -> dict[str, Any]:
    """Each node in a thread of its own, its requests under its own name as the model's."""
    server.requests.clear()
    found: dict[str, Any] = run("kill", str(folder), when, *nodes, environment=endpoint(server))
    assert list(found) == nodes
    return found


def holds(found: dict[str, Any]) -> None:
    """What was acknowledged stands in the thread, once, and is answered once."""
    for node, outcome in found.items():
        assert outcome["status"] == -signal.SIGKILL, node
        assert outcome["kept"]["texts"][:2] == [FIRST, ANSWER], node
        assert outcome["kept"]["texts"][2:] in ([SECOND], [], [SECOND, ANSWER]), node
        assert outcome["after"] == {"texts": WHOLE, "reply": ANSWER, "repeated": False}, node
        # Sent once more: the same answer, and (see the counts) not one request.
        assert outcome["again"] == {**outcome["after"], "repeated": True}, node


def test_killed_where_a_node_begins(server: OpenAIServer, folder: Path) -> None:
    nodes = _nodes()
    assert len(nodes) >= 13
    found = kill("start", nodes, server, folder)
    holds(found)
    for node in nodes:
        assert found[node]["kept"]["next"], node
        # Not one step that had finished runs again.
        assert asked(server, node) == SEVEN + ANEW.get(node, Counter()), node


def test_killed_where_a_node_ends(server: OpenAIServer, folder: Path) -> None:
    nodes = ["intake", "comforting:tracker", "action:progression", "coordinator", "generator"]
    found = kill("end", nodes, server, folder)
    holds(found)
    for node in found:
        twice = asked(server, node) - SEVEN
        # LangGraph saves a step's result just after its end: the one that died may run again.
        assert set(twice.elements()) <= {":".join(reversed(node.split(":")))}, node
        assert twice.total() <= 1, node


def test_killed_in_the_middle_of_a_request(server: OpenAIServer, folder: Path) -> None:
    nodes = ["exploration:tracker", "action:promoter", "generator"]
    died = []

    def reply(request: Request) -> Reply:
        node = request.body["model"]
        if request.asked.key == ":".join(reversed(node.split(":"))) and node not in died:
            died.append(node)
            name = f"request-{node.replace(':', '-')}.sqlite.pid"
            os.kill(int((folder / name).read_text(encoding="utf-8")), signal.SIGKILL)
        return obey(request)

    server.reply = reply
    holds(kill("request", nodes, server, folder))
    assert sorted(died) == sorted(nodes)
    for node in nodes:
        counts = asked(server, node)
        assert counts[":".join(reversed(node.split(":")))] == 2
        assert max(counts.values()) == 2
    assert asked(server, "generator") == SEVEN + Counter(["generator"])
