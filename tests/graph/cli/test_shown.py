"""What the commands print of others' words: literally, and without escapes, also of old files."""

from __future__ import annotations

import io
import json
import sqlite3
import sys
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from typer.main import get_command

from langgraph_cooper.graph import Turns, create_cooper
from langgraph_cooper.graph.cli.app import app
from langgraph_cooper.graph.cli.conversation import Conversation
from langgraph_cooper.graph.cli.terminal import PlainConsole, PlainText
from langgraph_cooper.prompts import Topic, load_task
from langgraph_cooper.ranker.api import Progression
from tests.support.commands import Cooper
from tests.support.rankers import FakeRanker
from tests.support.scripted import ScriptedModel

HOSTILE = "\x1b]0;pwned\x07\x1b[2Jcalm \u202e[/] [bold red]x[/] :smile:"
LITERAL = "calm [/] [bold red]x[/] :smile:"


def steers(text: str) -> bool:
    return any(character in text for character in "\x1b\x07\u202e\x9b") or "pwned" in text


def test_a_console_shows_words_of_others_literally_at_any_depth() -> None:
    screen = StringIO()
    console = PlainConsole(file=screen, width=60)
    table = Table(HOSTILE, title=HOSTILE)
    table.add_row(HOSTILE)
    table.add_row(Panel(PlainText(HOSTILE), title=PlainText(HOSTILE)))
    console.print(table, HOSTILE, PlainText.assemble(HOSTILE), sep="\n")
    console.print(Text("\x1b[2J\u202ea text of rich's own"))
    shown = screen.getvalue()
    assert not steers(shown)
    assert "\na text of rich's own\n" in shown
    assert shown.count(LITERAL) == 7
    assert len({len(line) for line in shown.splitlines()[2:8]}) == 1  # the columns stay in line


def test_its_own_colours_and_progress_stay() -> None:
    screen = StringIO()
    PlainConsole(file=screen, force_terminal=True, color_system="standard").print(
        Text("red\x1b[2J", style="red")
    )
    assert screen.getvalue() == "\x1b[31mred\x1b[0m\n"


def test_a_conversation_of_an_older_database(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ScriptedModel()
    graph = create_cooper("esc", model=model, ranker=FakeRanker()).compile(
        checkpointer=InMemorySaver()
    )
    turns = Turns(graph)
    answer = turns.send("anna", "I lost my job.").message
    config: Any = {"configurable": {"thread_id": "anna"}}
    state = graph.get_state(config).values
    old = {
        "messages": [AIMessage(HOSTILE, id=answer.id)],
        "exploration": {**state["exploration"], "state": HOSTILE},
        "ranking": [{**each, "topic": HOSTILE} for each in state["ranking"]],
    }
    graph.update_state(config, old, as_node="review")
    typed = iter(["/agents", "/why"])
    monkeypatch.setattr("builtins.input", lambda _: next(typed, "/quit"))
    capsys.readouterr()
    Conversation(load_task("esc"), graph, turns, "anna", db=Path("[/].sqlite")).converse()
    out, err = capsys.readouterr()
    said, agents = out.split("╭", 1)
    assert not steers(agents)
    assert not steers(said.replace("pwned", ""))  # the dialogue has blanks for control characters
    assert LITERAL in said
    assert LITERAL in agents.split("Goodbye")[0]
    assert not err
    assert "[/]" in out


def test_a_threads_name_is_no_markup(cooper: Cooper, tmp_path: Path) -> None:
    db = tmp_path / "talks.sqlite"
    name = HOSTILE.replace(" ", "_")
    with closing(sqlite3.connect(db, check_same_thread=False)) as connection:
        graph = create_cooper("esc", ranker=FakeRanker()).compile(
            checkpointer=SqliteSaver(connection)
        )
        graph.invoke({"messages": [HumanMessage("Hi.")]}, {"configurable": {"thread_id": name}})
    code, out, err = cooper("threads", "list", "--db", str(db))
    assert (code, err) == (0, "")
    assert not steers(out)
    assert "[/]_[bold" in out


def test_json_steers_nothing_and_keeps_all(cooper: Cooper, tmp_path: Path) -> None:
    db, name = tmp_path / "talks.sqlite", "Zoë_\x1b[2J\x9b2J\x9d0;pw\x9c\x7f\u202e\u2066"
    with closing(sqlite3.connect(db, check_same_thread=False)) as connection:
        graph = create_cooper("esc", ranker=FakeRanker()).compile(
            checkpointer=SqliteSaver(connection)
        )
        graph.invoke({"messages": [HumanMessage("Hi.")]}, {"configurable": {"thread_id": name}})
    out = cooper("threads", "list", "--db", str(db), "--json")[1]
    assert out.strip("\n").isprintable()
    assert "Zoë" in out
    assert json.loads(out)["thread"] == name


def test_words_after_a_command_that_never_ends_are_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    task = load_task("esc")
    aspects = [
        a.model_copy(update={"topics": [_unfinished(t) for t in a.topics]}) for a in task.aspects
    ]
    own = {"aspects": tuple(aspects), "passive": (), "answers": (), "guard": None}
    task = task.model_copy(update=own)
    graph = create_cooper(task, ranker=FakeRanker()).compile(checkpointer=InMemorySaver())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"I lost my job.\n"), "utf-8"))
    assert Conversation(task, graph, Turns(graph), "anna").answer_lines()
    assert capsys.readouterr().out.endswith("I hear you. And more.\n")


def _unfinished(topic: Topic) -> Topic:
    return topic.model_copy(update={"say": ("I hear you.\x1b] And more.",)})


def test_a_conversation_in_json_steers_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "Zoë \x9b2J\x9d0;pw\x9c\x7f\u202e\u2066"

    class Ranker(FakeRanker):  # as of a checkpoint that a stranger made
        def progression(self, aspect: str, state: str) -> Progression:
            return super().progression(aspect, state)._replace(targets=((hostile, 1.0),))

    graph = create_cooper("esc", ranker=Ranker()).compile(checkpointer=InMemorySaver())
    talk = Conversation(load_task("esc"), graph, Turns(graph), "anna", as_json=True)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"I lost my job.\n"), "utf-8"))
    assert talk.answer_lines()
    out = capsys.readouterr().out
    assert out.strip("\n").isprintable()
    assert "Zoë" in out
    assert json.loads(out)["aspects"]["comforting"]["target"] == hostile


def test_an_error_that_quotes_a_file_steers_nothing(cooper: Cooper, tmp_path: Path) -> None:
    code, _, err = cooper("threads", "list", "--db", str(tmp_path / "a\x1b[2J\u202eb.sqlite"))
    assert code == 1
    assert "ab.sqlite is not there" in err
    assert not steers(err)


@pytest.mark.parametrize("command", [["threads", "list"], ["chat", "--thread", "anna"]])
@pytest.mark.parametrize("size", [8_000, 30_000, None])
def test_a_damaged_database_is_told_from_one_that_is_in_use(
    size: int | None, command: list[str], cooper: Cooper, tmp_path: Path
) -> None:
    db = tmp_path / "talks.sqlite"
    with closing(sqlite3.connect(db, check_same_thread=False)) as connection:
        graph = create_cooper("esc", ranker=FakeRanker()).compile(
            checkpointer=SqliteSaver(connection)
        )
        Turns(graph).send("anna", "I lost my job.")
    whole = db.read_bytes()
    middle = len(whole) // 8
    damaged = whole[:size] if size else whole[:4096] + b"\x55" * middle + whole[4096 + middle :]
    db.write_bytes(damaged)
    code, _, err = cooper(*command, "--db", str(db), stdin="Hello.\n")
    assert code == 1
    assert str(db) in err
    assert "damaged or cut short" in err
    assert "backup" in err
    assert "--db" in err
    assert "close other programs" not in err
    assert len(err.strip().splitlines()) == 1


def test_a_database_in_use_is_not_called_damaged(cooper: Cooper, tmp_path: Path) -> None:
    db = tmp_path / "talks.sqlite"
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        SqliteSaver(connection).setup()
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN EXCLUSIVE")
        code, _, err = cooper("threads", "list", "--db", str(db))
    assert code == 1
    assert "locked" in err
    assert "damaged" not in err


def test_the_page_names_every_command() -> None:
    page = (Path(__file__).parents[3] / "docs" / "cli.md").read_text("utf-8")
    commands: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        assert f"`cooper {name}" in page, name
        for part in getattr(command, "commands", {}):
            assert f"`cooper {name} {part}`" in page or f"`{part}`" in page, (name, part)
