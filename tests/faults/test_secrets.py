"""No key leaves the process but to its endpoint, and no stored byte runs as code."""

from __future__ import annotations

import ast
import io
import json
import logging
import os
import pickle
import sqlite3
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ormsgpack
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver

from langgraph_cooper.graph import Turns, cooper_serde, create_cooper
from langgraph_cooper.graph.cli import main
from tests.support.openai_server import OpenAIServer, Reply, obey
from tests.support.processes import THREAD
from tests.support.rankers import FakeRanker

ROOT = Path(__file__).parents[2]
KEY = "sk-marker-4711-of-the-test-0815"
CONFIG: Any = {"configurable": {"thread_id": THREAD}}
SAID = "I lost my job."


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield server


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "talks.sqlite"


@pytest.fixture
def saver(file: Path) -> Iterator[SqliteSaver]:
    connection = sqlite3.connect(file, check_same_thread=False)
    yield SqliteSaver(connection, serde=cooper_serde())
    connection.close()


# ------------------------------------------------------------------- keys


def everything_in(folder: Path) -> bytes:
    """All bytes of the files, and a database's compressed values once more as they read."""
    found = [file.read_bytes() for file in folder.rglob("*") if file.is_file()]
    for file in folder.rglob("*.sqlite"):
        with closing(sqlite3.connect(file)) as connection:
            for query in (
                "SELECT type, checkpoint FROM checkpoints",
                "SELECT type, value FROM writes",
            ):
                rows = connection.execute(query)
                found += [zlib.decompress(value) for kind, value in rows if kind.endswith("+zlib")]
    return b"".join(found)


FAULTS = {
    "none": obey,
    "401": lambda _: Reply(status=401, text=f"Incorrect API key provided: {KEY}"),
    "500": lambda _: Reply(
        status=500, text=f"no luck with {KEY}", headers={"x-should-retry": "false"}
    ),
    "HTML": lambda _: Reply(raw=b"<html>It works!</html>"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_key_in_a_checkpoint_a_log_a_stream_or_an_error(
    fault: str,
    server: OpenAIServer,
    saver: SqliteSaver,
    file: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)  # of every library
    graph = create_cooper("esc", model="agent-model", ranker=FakeRanker()).compile(
        checkpointer=saver
    )
    server.reply = FAULTS[fault]
    modes = ["messages", "values", "updates", "tasks", "checkpoints", "debug"]
    told: list[str] = []
    try:
        for part in Turns(graph).stream(THREAD, SAID, stream_mode=modes, subgraphs=True):
            told.append(repr(part))
    except Exception as error:
        told += [str(error), repr(error)]
    told += [repr(graph), graph.get_graph(xray=1).draw_mermaid(), repr(graph.get_state(CONFIG))]
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert SAID.encode() in everything_in(file.parent)
    assert KEY.encode() not in everything_in(file.parent)
    assert KEY not in "".join(told)
    assert KEY not in caplog.text
    output = capfd.readouterr()
    assert KEY not in output.out + output.err


def test_no_key_in_what_the_command_prints(
    server: OpenAIServer,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.reply = FAULTS["401"]
    said = io.TextIOWrapper(io.BytesIO(SAID.encode()), "utf-8")
    monkeypatch.setattr(sys, "stdin", said)
    monkeypatch.setattr(
        sys, "argv", ["cooper", "chat", "--model", "m", "--db", str(file), "--show-agents"]
    )
    with pytest.raises(SystemExit):
        main()
    output = capsys.readouterr()
    assert "refuses the key" in output.err
    assert KEY not in output.out + output.err
    assert KEY.encode() not in everything_in(file.parent)


# ------------------------------------------------------------------- code


class Payload:
    """What an attacker would store: reading it makes a file, if anything runs it."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.target),)


def as_pickle(target: Path) -> tuple[str, bytes]:
    return "pickle", pickle.dumps(Payload(target))


def as_msgpack(code: int) -> Callable[[Path], tuple[str, bytes]]:
    """An extension that names a function, and what to call it with."""
    arguments: dict[int, Callable[[str], Any]] = {
        0: lambda t: t,
        1: lambda t: (t,),
        2: lambda t: {"name": t},
        3: lambda t: t,
        4: lambda t: {"name": t},
        5: lambda t: {"name": t},
    }

    def forge(target: Path) -> tuple[str, bytes]:
        named = ["os", "makedirs", arguments[code](str(target)), "fromisoformat"]
        if code == 3:
            named = ["pathlib", "Path", str(target), "mkdir"]
        value = ormsgpack.packb({"x": ormsgpack.Ext(code, ormsgpack.packb(named))})
        return "msgpack", value

    return forge


def as_json(target: Path) -> tuple[str, bytes]:
    call = {
        "lc": 2,
        "type": "constructor",
        "id": ["os", "makedirs"],
        "kwargs": {"name": str(target)},
    }
    return "json", json.dumps({"x": call}).encode()


def as_secret(_: Path) -> tuple[str, bytes]:
    secret = {"lc": 1, "type": "secret", "id": ["OPENAI_API_KEY"]}
    return "json", json.dumps({"x": secret}).encode()


FORGERIES: dict[str, Callable[[Path], tuple[str, bytes]]] = {
    "pickle": as_pickle,
    "json": as_json,
    "secret": as_secret,
    **{f"msgpack-{code}": as_msgpack(code) for code in range(6)},
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_value_runs_nothing(
    forgery: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    target = tmp_path / "pwned"
    try:
        read = repr(cooper_serde().loads_typed(FORGERIES[forgery](target)))
    except ValueError as error:
        read = str(error)
    assert not target.exists()
    assert KEY not in read


@pytest.mark.parametrize("code", [0, 1, 2])
def test_the_forgeries_are_live(code: int, tmp_path: Path) -> None:
    """LangGraph's default runs them: the test above would fail on it."""
    target = tmp_path / "pwned"
    JsonPlusSerializer(allowed_msgpack_modules=True).loads_typed(as_msgpack(code)(target))
    assert target.exists()


@pytest.mark.parametrize("forgery", ["pickle", "json", "msgpack-0", "msgpack-2"])
@pytest.mark.parametrize("kind", ["sqlite", "memory"])
def test_a_forged_row_runs_nothing(
    kind: str, forgery: str, saver: SqliteSaver, tmp_path: Path
) -> None:
    store = saver if kind == "sqlite" else InMemorySaver(serde=cooper_serde())
    graph = create_cooper("esc", ranker=FakeRanker()).compile(checkpointer=store)
    turns = Turns(graph)
    turns.send(THREAD, SAID)
    target = tmp_path / "pwned"
    forge(store, *FORGERIES[forgery](target))
    with suppress(Exception):  # whatever the saver makes of it
        turns.send(THREAD, "Hello?")
    assert not target.exists()


def forge(saver: SqliteSaver | InMemorySaver, kind: str, value: bytes) -> None:
    """Puts a value in place of every stored one."""
    if isinstance(saver, SqliteSaver):
        with saver.conn:
            saver.conn.execute("UPDATE checkpoints SET type = ?, checkpoint = ?", [kind, value])
            saver.conn.execute("UPDATE writes SET type = ?, value = ?", [kind, value])
        return
    for key in saver.blobs:
        saver.blobs[key] = kind, value
    for steps in saver.storage[THREAD].values():
        for id, (_, metadata, parent) in steps.items():
            steps[id] = (kind, value), metadata, parent


def test_a_forged_file_is_one_error_of_the_command(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    connection = sqlite3.connect(file, check_same_thread=False)
    saver = SqliteSaver(connection)
    graph = create_cooper("esc", ranker=FakeRanker()).compile(checkpointer=saver)
    Turns(graph).send("esc", SAID)
    target = tmp_path / "pwned"
    forge(saver, *as_msgpack(0)(target))
    connection.close()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Hello?"), "utf-8"))
    monkeypatch.setattr(sys, "argv", ["cooper", "chat", "--db", str(file)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not target.exists()


def test_nothing_that_cooper_keeps_is_blocked(
    saver: SqliteSaver, caplog: pytest.LogCaptureFixture
) -> None:
    graph = create_cooper("esc", ranker=FakeRanker()).compile(checkpointer=saver)
    turns = Turns(graph)
    turns.send(THREAD, SAID)
    graph.update_state(CONFIG, {"messages": [SystemMessage("A note.")]}, as_node="generator")
    state = turns.send(THREAD, "I feel low.").state
    kinds = [type(message) for message in state["messages"]]
    assert kinds == [HumanMessage, AIMessage, SystemMessage, HumanMessage, AIMessage]
    assert "locked" not in caplog.text  # "Blocked deserialization of ..."
    twin = InMemorySaver()
    other = create_cooper("esc", ranker=FakeRanker()).compile(checkpointer=twin)
    for text in (SAID, "I feel low."):
        plain = Turns(other).send(THREAD, text).state
    assert plain.keys() == state.keys()
    assert type(plain["exploration"]) is type(state["exploration"]) is dict


def test_further_classes_are_named() -> None:
    packed = JsonPlusSerializer().dumps_typed(Mine("a"))
    assert cooper_serde().loads_typed(packed) == {"name": "a"}
    assert cooper_serde(Mine).loads_typed(packed) == Mine("a")


@dataclass
class Mine:
    name: str


LOADERS = {"pickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}


def test_the_package_reads_no_pickles() -> None:
    """Weights are safetensors; a training state is read with `weights_only=True`."""
    for folder in ("graph", "nodes", "ranker", "prompts"):
        for source in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
                where = f"{source.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
                if isinstance(node, ast.Import | ast.ImportFrom):
                    names = {alias.name.partition(".")[0] for alias in node.names}
                    names.add((getattr(node, "module", None) or "").partition(".")[0])
                    assert not names & LOADERS, where
                if isinstance(node, ast.Call):
                    called = ast.unparse(node.func)
                    given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                    assert called not in ("eval", "exec", "__import__"), where
                    if called == "torch.load":
                        assert given.get("weights_only") == "True", where
                    assert given.get("allow_pickle", "False") == "False", where
                    assert given.get("trust_remote_code", "False") == "False", where


def test_what_is_shipped_is_strict_and_private(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from langgraph_cooper.graph.cli.store import conversation_store

    with conversation_store(file) as store:
        with pytest.raises(ValueError, match="'pickle' is not read"):
            store.serde.loads_typed(("pickle", b""))
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.with_name(file.name + "-wal").stat().st_mode) == 0o600
    settings = json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))
    assert settings["env"]["LANGGRAPH_STRICT_MSGPACK"] == "true"
