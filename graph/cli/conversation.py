"""A conversation at a terminal or through a pipe. Its turns run through `Turns`, as everywhere."""

from __future__ import annotations

import io
import os
import re
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StateSnapshot
from rich.padding import Padding
from rich.text import Text

from langgraph_cooper.graph.cli.commands import QUIT, command_in, help_view
from langgraph_cooper.graph.cli.store import StoreError
from langgraph_cooper.graph.cli.terminal import PlainConsole, PlainText, json_line, shown
from langgraph_cooper.graph.cli.view import (
    WordWrap,
    agents_view,
    fault_line,
    summary_line,
    why_view,
)
from langgraph_cooper.graph.cli.waiting import Waiting
from langgraph_cooper.graph.threads.asked import AnswerAgain
from langgraph_cooper.graph.threads.spoken import SpokenTurn, system_is_due
from langgraph_cooper.graph.threads.turns import Turns
from langgraph_cooper.graph.warm import warm_up
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.errors import InputError, ModelError
from langgraph_cooper.nodes.events import Event, TurnStarted
from langgraph_cooper.nodes.intake import check_text
from langgraph_cooper.nodes.language.controls import PlainStream
from langgraph_cooper.nodes.language.history import utterances
from langgraph_cooper.prompts import CooperError, TaskSpec

INTERRUPTED = 130
"""The exit code of Ctrl-C, as everywhere in the command."""
MOST_NAME = 240  # characters of a thread's name before the number of a new one
NOT_STORED = "The last message may not have been stored: say it again if it is not shown next time."
LAST_WORDS = 4
"""Number of utterances that a person is shown who comes back."""


@dataclass
class Conversation:
    """One person's conversation in one thread, which no other program may enter meanwhile.

    See `cooper chat --help` for the fields. `release` lets other programs in again: Ctrl-C in
    mid-turn calls it and ends the process. `move` keeps them out of another thread instead, if none
    is in there.
    """

    task: TaskSpec
    graph: CompiledStateGraph[Any, Any, Any, Any]
    turns: Turns
    thread: str
    db: Path | None = None
    model: str | None = None
    guard_model: str | None = None
    ranker: str | None = None
    as_json: bool = False
    show_agents: bool = False
    release: Callable[[], None] = lambda: None
    move: Callable[[str], bool] = lambda _: True
    context: CooperContext = field(default_factory=CooperContext)

    def __post_init__(self) -> None:
        self._loading: threading.Thread | None = None
        # With JSON, standard output has the objects alone, whoever types and wherever it goes.
        self._out = PlainConsole(stderr=self.as_json, highlight=False)
        self._out.soft_wrap = not self._out.is_terminal
        self._screen = PlainConsole()
        self._err = PlainConsole(stderr=True, highlight=False, soft_wrap=True)
        self._sound = True
        self._last_faults = ""
        self._model_failed = False
        self._unstored = False  # whether a message was taken, and is not stored yet

    def check_thread(self) -> None:
        """Refuse a thread of another task, before anything is added to it.

        Raises:
            StoreError: The thread cannot be read.
            InputError: It belongs to another task.
        """
        try:
            state = self._snapshot().values
        except sqlite3.Error:  # whoever opened the file knows what to do about it
            raise
        except Exception as error:  # a damaged file makes the decoder raise anything
            raise StoreError(
                f"the thread {self.thread!r} in {self.db} cannot be read "
                f"({type(error).__name__}: {error}); choose another --thread or --db"
            ) from error
        owner = (state.get("cooper") or {}).get("task")
        if owner and owner != self.task.name:
            raise InputError(
                f"the thread {self.thread!r} belongs to the task {owner!r}: continue it with "
                f"--task {owner}, or choose another --thread"
            )

    def answer_lines(self) -> bool:
        """Answer each line of standard input.

        Returns:
            Whether every line was answered, and without a fault.
        """
        with self._reporting(InputError):
            self._begin()
        for number, line in enumerate(sys.stdin.buffer, start=1):
            with self._reporting(InputError, where=f"line {number}: "):
                text = check_text(line.decode("utf-8", errors="replace"))
                with self._reporting(InputError):
                    self._take(text)
        return self._sound

    def converse(self) -> None:
        """Talk with a person until they leave (Ctrl-D, Ctrl-C, or a word for it)."""
        if isinstance(sys.stdin, io.TextIOWrapper):  # a terminal's encoding may be another
            sys.stdin.reconfigure(errors="replace")
        who = self.model or "offline, without a language model"
        if self.guard_model:
            who += f", but for the safety guard's {self.guard_model}"
        self._out.print(PlainText(f"{self.task.title} · {who} · /help lists commands", style="dim"))
        # The models load while the person reads and types.
        self._loading = threading.Thread(target=self._warm_up, daemon=True)
        self._loading.start()
        if not self.as_json:
            self._show_last_words()
        with suppress(KeyboardInterrupt):
            with self._reporting(InputError, ModelError):
                self._begin()
            for text in self._typed():
                with self._reporting(InputError, ModelError):
                    self._take(check_text(text))
        self._say_goodbye()

    @property
    def loading(self) -> bool:
        """Whether models are being loaded, which the end of the process would wait for."""
        return self._loading is not None and self._loading.is_alive()

    def _say_goodbye(self) -> None:
        kept = f" It is kept as thread {self.thread!r}." if self.db else ""
        self._out.print(PlainText(f"\nGoodbye.{kept}", style="dim"))

    def _show_last_words(self) -> None:
        """Show a person who comes back what was said last."""
        state = self._snapshot().values
        spoken = utterances(state.get("messages", []))
        if len(spoken) > LAST_WORDS:
            self._out.print(
                PlainText(f"({len(spoken) - LAST_WORDS} earlier messages)", style="dim")
            )
        for one in spoken[-LAST_WORDS:]:
            role = self.task.user_role if one.speaker == "user" else self.task.system_role
            self._out.print(PlainText(f"{role}: {one.text}", style="dim"))
        if pinned := (state.get("guard") or {}).get("pinned"):
            self._out.print(PlainText(f"  {pinned}", style="dim"))

    def _warm_up(self) -> None:
        with suppress(CooperError):  # the first turn reports it
            warm_up(self.graph)

    def _typed(self) -> Iterator[str]:
        """Yield the messages that a person types, and obey the commands between them."""
        while True:
            try:
                text = self._typed_line()
            except (EOFError, KeyboardInterrupt):
                return
            command = command_in(text)
            if command == QUIT:
                return
            if command:
                with self._reporting(InputError, ModelError):
                    self._obey(command)
            elif text.strip():
                yield text

    def _typed_line(self) -> str:
        """Return the next line that a person types.

        Raises:
            EOFError: There is none.
        """
        name = shown(f"{self.task.user_role}: ")
        if not self.as_json or sys.stdout.isatty():
            return input(_prompt(name, bold=self._out.is_terminal))
        self._out.print(PlainText(name, style="bold"), end="")
        return input()

    def _obey(self, command: str) -> None:
        state = self._snapshot().values
        if command == "help":
            self._out.print(help_view(self.task))
        elif command == "agents":
            self._out.print(agents_view(self.task, state, self._out.width))
        elif command == "why":
            self._out.print(why_view(self.task, state))
        elif command == "again":
            self._take(AnswerAgain())
        elif command == "new":
            self._begin_anew()
        else:
            self._out.print(PlainText(f"There is no command /{command}; /help lists them.", "dim"))

    def _begin_anew(self) -> None:
        """Go on in a thread that is empty: "anna-2" after "anna"."""
        base = re.sub(r"-\d+$", "", self.thread)[:MOST_NAME]
        for number in count(2):
            name = f"{base}-{number}"
            if not self._snapshot(name).values and self.move(name):
                break
        self.thread, self._model_failed, self._last_faults = name, False, ""
        kept = f", kept as thread {name!r}" if self.db else ""
        self._out.print(PlainText(f"A new conversation{kept}.", style="dim"))
        self._begin()

    @contextmanager
    def _reporting(self, *errors: type[CooperError], where: str = "") -> Iterator[None]:
        """Print these errors and let the conversation go on."""
        try:
            yield
        except errors as error:
            self._err.print(PlainText(f"error: {where}{error}", style="red"))
            self._sound = False
            self._model_failed |= isinstance(error, ModelError)

    def _snapshot(self, thread: str | None = None) -> StateSnapshot:
        config: RunnableConfig = {"configurable": {"thread_id": thread or self.thread}}
        return self.graph.get_state(config)

    def _begin(self) -> None:
        """Finish a turn that was cut, or open the conversation where the system does."""
        if system_is_due(self.task, self._snapshot()):
            self._take(None)

    def _take(self, said: str | AnswerAgain | None) -> None:
        """Run and print a turn; None says nothing new."""
        waiting = Waiting(self.task, self._screen)
        turn = SpokenTurn(
            self.turns,
            self.task,
            self.thread,
            said,
            context=self.context,
            # After a fault that a person must mend, ask once a line: the answer is to both.
            catch_up=not self._model_failed,
        )

        def hear(event: Event) -> None:
            self._unstored &= not isinstance(event, TurnStarted)
            waiting.hear(event)

        turn.on_event, self._unstored = hear, isinstance(said, str)
        before, self._last_faults = self._last_faults, ""
        with self._leaving_at_once():
            if self.as_json:
                with waiting.shown():
                    for _ in turn:
                        pass
                print(json_line(turn.record()), flush=True)  # noqa: T201
            else:
                self._print_text(turn, waiting)
        self._model_failed = False
        if faults := fault_line(self.task, turn.state):
            again = faults == before and self._err.is_terminal
            told = "as in the turn before, others stand in" if again else faults
            self._err.print(PlainText(f"warning: {told}", style="yellow"))
            self._sound = False
        self._last_faults = faults

    @contextmanager
    def _leaving_at_once(self) -> Iterator[None]:
        """Let Ctrl-C end the process in mid-turn, even while models load, which takes seconds.

        What was said is stored, and the next start finishes the turn. In the first moments it is
        not, and the person is told.
        """
        before = signal.getsignal(signal.SIGINT)
        # Only there does Python handle signals; a job in the background ignores this one.
        if threading.current_thread() is not threading.main_thread() or before == signal.SIG_IGN:
            yield
            return

        def leave(*_: object) -> None:
            if sys.stdin.isatty():
                self._screen.show_cursor(True)
                self._say_goodbye()
            if self._unstored and self.db:
                self._err.print(PlainText(NOT_STORED, style="yellow"))
            self.release()
            sys.stdout.flush()
            os._exit(0 if sys.stdin.isatty() else INTERRUPTED)

        signal.signal(signal.SIGINT, leave)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _print_text(self, turn: SpokenTurn, waiting: Waiting) -> None:
        pieces = iter(turn)
        with waiting.shown():
            first = next(pieces, "")
        # After the guard, and for an answer given earlier, the reports are another turn's.
        current = not turn.by_guard and not turn.again
        if self.show_agents and current:
            self._out.print(agents_view(self.task, turn.state, self._out.width))
        elif sys.stdout.isatty() and current:
            self._out.print(summary_line(self.task, turn.state))
        name = f"{self.task.system_role}: "
        self._out.print(PlainText(name, style="bold"), end="")
        words = PlainStream()  # an earlier answer may be of an older database
        wrap = WordWrap(self._out.width if self._out.is_terminal else None, len(name))
        for piece in chain([first], pieces):
            if piece is None:
                self._show(PlainText(wrap.feed(words.end()) + wrap.end()))
                self._show(PlainText("\n(cut off) ", style="dim"))
                wrap.column = len("(cut off) ")
            else:
                self._show(PlainText(wrap.feed(words.feed(piece))))
        self._show(PlainText(wrap.feed(words.end()) + wrap.end()))
        self._out.print()
        pinned = turn.done and turn.done.pinned
        if pinned and not turn.by_guard:
            line = PlainText(pinned, style="dim")
            # Without a terminal there is no width, and padding would cut the line off.
            indented = Padding(line, (0, 0, 0, 2)) if self._out.is_terminal else line
            self._out.print(indented)

    def _show(self, text: Text) -> None:
        self._out.print(text, end="", soft_wrap=True)
        self._out.file.flush()


def _prompt(name: str, *, bold: bool) -> str:
    r"""Return a prompt for `input`, which must know it: editing the line would erase it otherwise.

    readline counts what is between \001 and \002 as nothing.
    """
    try:
        import readline  # noqa: F401  # also gives input() its arrow keys
    except ImportError:  # as on Windows
        return name
    return f"\001\033[1m\002{name}\001\033[0m\002" if bold else name
