"""`cooper chat` in a real terminal: a pseudo-terminal whose screen is read cell by cell."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pyte
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from rich.console import Console

from langgraph_cooper.graph import ModelError, Turns, create_cooper
from langgraph_cooper.graph.cli.commands import command_in
from langgraph_cooper.graph.cli.conversation import Conversation
from langgraph_cooper.graph.cli.view import agents_view, why_view
from langgraph_cooper.nodes.crisis import reading
from langgraph_cooper.nodes.crisis.course import Finding
from langgraph_cooper.nodes.events import TurnStarted
from langgraph_cooper.nodes.guard import released
from langgraph_cooper.prompts import load_task
from tests.support.rankers import FakeRanker
from tests.support.scripted import ScriptedModel

ESC = load_task("esc")
REPLY = "I hear you, and I am glad that you told me about extraordinarily unforeseeable things."
CODE = f"""if True:
    import langgraph_cooper.nodes.crisis.reading as reading
    reading.shipped_reader = lambda: reading.read_phrases  # quicker, without torch
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph_cooper.graph import Turns, create_cooper, load_task
    from langgraph_cooper.graph.cli.conversation import Conversation
    from tests.support.rankers import FakeRanker
    from tests.support.scripted import ScriptedModel
    model = ScriptedModel(script={{"generator": {REPLY!r}}})
    graph = create_cooper("esc", model=model, ranker=FakeRanker())
    graph = graph.compile(checkpointer=InMemorySaver())
    Conversation(load_task("esc"), graph, Turns(graph), "anna").converse()
"""
PROMPT = "seeker: "


class Terminal:
    """A program in a pseudo-terminal.

    Args:
        columns: The width at first.
    """

    def __init__(self, columns: int) -> None:
        self.screen = pyte.HistoryScreen(columns, 24, history=1_000)
        self._stream = pyte.ByteStream(self.screen)
        self._fd, inner = pty.openpty()
        self.resize(columns)
        # A worker of pytest-xdist has a width of its own in its environment.
        others = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        self._process = subprocess.Popen(
            [sys.executable, "-c", CODE], stdin=inner, stdout=inner, stderr=inner,
            env={**others, "TERM": "xterm"}, start_new_session=True,
        )  # fmt: skip
        os.close(inner)

    def resize(self, columns: int) -> None:
        self.screen.resize(24, columns)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def shows(self, *words: str) -> None:
        """Wait until the line of the cursor is one of these."""
        ends = time.monotonic() + 60
        while self.line not in words:
            assert time.monotonic() < ends, self.text
            self._read()

    def enter(self, keys: str) -> None:
        """Type a line and wait for the next prompt."""
        lines = len(self.lines)
        self.type(f"{keys}\r")
        ends = time.monotonic() + 60
        while len(self.lines) <= lines or self.line != PROMPT.strip():
            assert time.monotonic() < ends, self.text
            self._read()

    def end(self) -> int:
        while self._process.poll() is None:
            self._read()
        self._read()
        os.close(self._fd)
        return self._process.returncode

    def _read(self) -> None:
        if select.select([self._fd], [], [], 0.05)[0]:
            try:
                self._stream.feed(os.read(self._fd, 65_536))
            except OSError:  # the program has ended
                return

    @property
    def line(self) -> str:
        return self.screen.display[self.screen.cursor.y].rstrip()

    @property
    def lines(self) -> list[str]:
        gone = [
            "".join(line[x].data for x in range(self.screen.columns))
            for line in self.screen.history.top
        ]
        found = [line.rstrip() for line in [*gone, *self.screen.display]]
        while found and not found[-1]:
            found.pop()
        return found

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal(40)
    yield terminal
    terminal._process.kill()
    terminal._process.wait()


def test_a_conversation_in_a_terminal_of_40_and_then_80_columns(terminal: Terminal) -> None:
    terminal.shows(PROMPT.strip())
    terminal.type("I lost my jobb")
    terminal.shows("seeker: I lost my jobb")
    terminal.type("\x7f")  # backspace
    terminal.shows("seeker: I lost my job")
    terminal.type("\x01\x0b")  # to the beginning, and all gone
    terminal.shows(PROMPT.strip())
    terminal.type("I lost my job.\x7f" + "\x7f" * 40)  # more than there is
    terminal.shows(PROMPT.strip())
    terminal.enter("I lost my job.")
    words = terminal.text.split("supporter: ")[1].split(PROMPT.strip())[0]
    assert " ".join(words.split()) == REPLY  # no word is broken
    assert "supporter: I hear you, and I am glad" in terminal.text

    terminal.enter("/why")
    assert "score" in terminal.text
    terminal.enter("/agents")
    assert terminal.text.count("╭") == 3  # one beneath the other
    terminal.enter("/nonsense")
    assert "There is no command /nonsense" in terminal.text
    terminal.enter("My husband hits me.")
    terminal.enter("I am safe now")
    assert "Help is there whenever you want" in terminal.text

    terminal.resize(80)
    terminal.enter("/help")
    for command in ("/help", "/why", "/agents", "/new", "/quit"):
        assert f"\n{command} " in terminal.text
    before = terminal.text
    terminal.enter("/new")
    assert "A new conversation." in terminal.text
    terminal.enter("My cat is ill.")
    after = terminal.text.split("A new conversation.")[1]
    assert "Help is there" not in after
    assert len(before) < len(terminal.text)
    assert "and I am glad that you told me about extraordinarily\nunforeseeable things." in after
    terminal.type("/quit\r")
    assert terminal.end() == 0
    assert "Goodbye." in terminal.text


# --------------------------------------------------------------------------- without a terminal


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("exit", "quit"), (" Quit ", "quit"), ("/quit", "quit"), ("/EXIT", "quit"),
        ("/help", "help"), ("/Why ", "why"), ("/foo", "foo"),
        ("I want to exit", None), ("/home/anna", None), ("why", None), ("/", None), ("help", None),
    ],
)  # fmt: skip
def test_which_lines_are_commands(text: str, command: str | None) -> None:
    assert command_in(text) == command


def drawn(view: Any, width: int = 100) -> str:
    screen = StringIO()
    Console(file=screen, width=width).print(view)
    return screen.getvalue()


@pytest.fixture
def graph() -> Any:
    graph = create_cooper("esc", model=ScriptedModel(), ranker=FakeRanker())
    return graph.compile(checkpointer=InMemorySaver())


def test_before_a_reply_and_after_the_guard_nothing_stale_is_shown(graph: Any) -> None:
    assert "No agent has worked yet" in drawn(agents_view(ESC, {}, 100))
    assert "no reply to explain" in drawn(why_view(ESC, {}))
    turns = Turns(graph)
    state = turns.send("anna", "I lost my job.").state
    assert "What is known about action." in drawn(agents_view(ESC, state, 100))
    best = state["ranking"][0]
    assert f"1. {best['aspect']} (score" in drawn(why_view(ESC, state))
    state = turns.send("anna", "I want to kill myself.").state
    assert "safety guard answered" in drawn(why_view(ESC, state))
    shown = drawn(agents_view(ESC, state, 100))
    assert "This is of the turn before" in shown
    assert "ranking" not in shown


def test_help_stays_in_view_until_a_person_releases(
    graph: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    turns = Turns(graph)
    turns.send("anna", "I want to kill myself.")
    config: Any = {"configurable": {"thread_id": "anna"}}

    def talk(text: str) -> str:
        typed = iter([text])
        monkeypatch.setattr("builtins.input", lambda _: next(typed))
        capsys.readouterr()
        with pytest.raises(RuntimeError):
            Conversation(ESC, graph, turns, "anna").converse()
        return capsys.readouterr().out

    assert "Help is there" in talk("yes, I am safe")
    graph.update_state(config, released(graph.get_state(config).values), as_node="review")
    assert "Help is there" not in talk("I feel better.")


def test_a_person_who_comes_back_after_a_concern_sees_where_help_is(
    graph: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def leave(_: str) -> str:
        raise EOFError

    def come_back() -> str:
        capsys.readouterr()
        Conversation(ESC, graph, turns, "anna").converse()
        return capsys.readouterr().out

    def read(text: str, said: Sequence[str] = (), *, rarer: float = 0.0) -> Finding:
        return Finding("concern", "suicide") if "records" in text else Finding()

    monkeypatch.setattr("builtins.input", leave)
    monkeypatch.setattr(reading, "shipped_reader", lambda: read)
    turns = Turns(graph)
    turns.send("anna", "My cat is ill.")
    assert "Help is there" not in come_back()
    turns.send("anna", "I gave my records away.")
    assert turns.send("anna", "No.").state["guard"]["tier"] == "none"
    assert "Help is there whenever you want it" in come_back()


class Pressed(BaseException):
    """The end of the process, at Ctrl-C."""


@pytest.mark.parametrize("stored", [False, True])
def test_control_c_before_the_message_is_stored_tells_so(
    stored: bool, graph: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    turns = Turns(graph)

    def events(*_: Any, **__: Any) -> Iterator[Any]:
        if stored:
            yield TurnStarted(turn="t", id="t-1")
        signal.raise_signal(signal.SIGINT)

    def leave(code: int) -> None:
        raise Pressed(code)

    monkeypatch.setattr(turns, "events", events)
    monkeypatch.setattr(os, "_exit", leave)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(Pressed):
            Conversation(ESC, graph, turns, "anna", db=Path("talks.sqlite"))._take("I lost my job.")
    finally:
        signal.signal(signal.SIGINT, before)
    assert ("may not have been stored" in capsys.readouterr().err) is not stored


def test_again_replaces_the_last_reply(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ScriptedModel(script={"generator": ModelError("it broke off", "cut")})
    builder = create_cooper("esc", model=model, ranker=FakeRanker())
    graph = builder.compile(checkpointer=InMemorySaver())

    def typing() -> Iterator[str]:
        yield "/again"
        yield "I lost my job."
        model.script = {"generator": "A new answer."}
        yield "/again"
        yield "quit"

    typed = typing()
    monkeypatch.setattr("builtins.input", lambda _: next(typed))
    Conversation(ESC, graph, Turns(graph), "anna").converse()
    told = capsys.readouterr()
    assert "supporter: A new answer." in told.out
    assert "error: the thread has no message of a user to answer: send one" in told.err
    config: Any = {"configurable": {"thread_id": "anna"}}
    said = [message.text for message in graph.get_state(config).values["messages"]]
    assert said == ["I lost my job.", "A new answer."]


def test_a_new_conversation_takes_the_next_free_name(
    graph: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    turns = Turns(graph)
    turns.send("anna-2", "Hello there.")
    typed = iter(["I lost my job.", "/new", "My cat is ill.", "/new", "quit"])
    monkeypatch.setattr("builtins.input", lambda _: next(typed))
    asked: list[str] = []

    def move(name: str) -> bool:
        asked.append(name)
        return name != "anna-3"  # another program is in there

    conversation = Conversation(ESC, graph, turns, "anna", move=move)
    conversation.converse()
    assert asked == ["anna-3", "anna-4", "anna-3", "anna-5"]
    assert conversation.thread == "anna-5"
    config: Any = {"configurable": {"thread_id": "anna-4"}}
    assert graph.get_state(config).values["messages"][0].text == "My cat is ill."
    assert capsys.readouterr().out.count("A new conversation") == 2
