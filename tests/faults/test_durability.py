"""A process that dies in the middle of a turn loses nothing that it had acknowledged."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.sqlite import SqliteSaver

from langgraph_cooper.graph import Turns, create_cooper
from langgraph_cooper.prompts import load_task
from tests.support.openai_server import OpenAIServer, Reply, Request, obey
from tests.support.processes import FIRST, SECOND, THREAD, run, texts
from tests.support.rankers import FakeRanker
from tests.support.scripted import ScriptedModel

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


def kill(
    when: str,
    nodes: list[str],
    server: OpenAIServer,
    folder: Path,
    reply: Callable[[Request], Reply] = obey,
) -> dict[str, Any]:
    """Each node in a thread of its own, its requests under its own name as the model's."""
    server.requests.clear()
    server.reply = reply
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

    holds(kill("request", nodes, server, folder, reply))
    assert sorted(died) == sorted(nodes)
    for node in nodes:
        counts = asked(server, node)
        assert counts[":".join(reversed(node.split(":")))] == 2
        assert max(counts.values()) == 2
    assert asked(server, "generator") == SEVEN + Counter(["generator"])


@pytest.mark.parametrize("lost", [1, 2, 3, 4])
def test_killed_between_a_steps_end_and_the_next_checkpoint(lost: int, tmp_path: Path) -> None:
    """What the steps gave is saved, what came of it is not: LangGraph's `next` is empty then."""
    model = ScriptedModel()
    connection = sqlite3.connect(tmp_path / "talks.sqlite", check_same_thread=False)
    graph = create_cooper("esc", model=model, ranker=FakeRanker()).compile(
        checkpointer=SqliteSaver(connection)
    )
    turns = Turns(graph)
    turns.send(THREAD, HumanMessage(FIRST, id="m-1"))
    whole = turns.send(THREAD, HumanMessage(SECOND, id="m-2"))
    with connection:
        connection.execute(
            "DELETE FROM checkpoints WHERE checkpoint_ns = '' AND checkpoint_id IN (SELECT "
            "checkpoint_id FROM checkpoints WHERE checkpoint_ns = '' ORDER BY 1 DESC LIMIT ?)",
            [lost],
        )
    assert graph.get_state({"configurable": {"thread_id": THREAD}}).next == ()
    model.calls.clear()
    reply = turns.send(THREAD, HumanMessage("Are you there?", id="m-3"))
    assert texts(reply.state) == [*WHOLE, "Are you there?", ANSWER]
    assert reply.state["messages"][3].text == whole.text
    assert len(model.asked("tracker")) in (3, 6)  # the new turn's own, and no third time
    if lost == 1:
        assert len(model.asked("generator")) == 1
    connection.close()
