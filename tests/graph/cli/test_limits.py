"""Every command that asks a model bounds the seconds and the calls of a turn."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from langgraph_cooper.graph.cli import main
from langgraph_cooper.graph.server import serve
from langgraph_cooper.graph.server.settings import Settings
from langgraph_cooper.ranker import load
from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue
from langgraph_cooper.ranker.data.jsonl import write_annotated
from tests.graph.cli.test_evaluate import dialogue
from tests.support.openai_server import OpenAIServer, Reply, Request, obey
from tests.support.rankers import FakeRanker

pytestmark = pytest.mark.usefixtures("quick_retries")
Run = Callable[..., tuple[int, str, str]]
COMMANDS = {
    "chat": ("chat", "--json"),
    "annotate": ("annotate", "--data", "raw.jsonl", "--output", "out.jsonl"),
    "evaluate": ("evaluate", "ranking", "--data", "annotated.jsonl", "--json"),
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield server


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(load, "ranker_loader", lambda *_: FakeRanker)
    said = dialogue(0)
    write_annotated(Path("annotated.jsonl"), [said])
    fields = {"id": "one", "utterances": [u.model_dump() for u in said.utterances[:2]]}
    Path("raw.jsonl").write_text(json.dumps(fields) + "\n", "utf-8")
    assert isinstance(said, AnnotatedDialogue)

    def run(command: str, *options: str) -> tuple[int, str, str]:
        arguments = ["cooper", *COMMANDS.get(command, [command]), "--model", "m", *options]
        monkeypatch.setattr(sys, "argv", arguments)
        line = io.BytesIO(b"I lost my job.\n")
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(line, "utf-8"))
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        output = capsys.readouterr()
        return int(end.value.code or 0), output.out, output.err

    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_calls_are_bounded(command: str, run: Run, server: OpenAIServer) -> None:
    server.reply = lambda _: Reply("One", finish="length")  # which would be asked for again
    code, _, told = run(command, "--max-calls", "1", "--at-once", "1")
    assert code == 1
    assert "no model call left of the turn's 1" in told
    assert len(server.requests) <= 1


@pytest.mark.parametrize("command", COMMANDS)
def test_seconds_are_bounded(command: str, run: Run, server: OpenAIServer) -> None:
    def late(_: Request) -> Reply:
        return Reply("One.", delay=30)

    server.reply = late
    code, _, told = run(command, "--deadline", "1", "--at-once", "1")
    assert code == 1
    assert "did not answer in time" in told


def test_a_server_is_given_them_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Settings] = []
    monkeypatch.setattr(serve, "serve", lambda *_, settings, **__: served.append(settings))
    assert run("serve")[0] == 0
    assert run("serve", "--deadline", "9", "--max-calls", "8", "--at-once", "1")[0] == 0
    known, chosen = (settings.context for settings in served)
    assert (known.deadline, known.max_calls, known.at_once) == (60, None, None)
    assert (chosen.deadline, chosen.max_calls, chosen.at_once) == (9, 8, 1)
    assert run("serve", "--at-once", "0")[0] == 2


def test_both_are_enough_for_a_turn(run: Run, server: OpenAIServer) -> None:
    server.reply = obey
    code, out, told = run("chat", "--max-calls", "7", "--deadline", "600")
    assert (code, told) == (0, "")
    assert json.loads(out)["faults"] == []
    assert len(server.requests) == 7
