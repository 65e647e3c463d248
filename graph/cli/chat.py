"""`cooper chat`: a conversation in the terminal or through a pipe."""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from langchain_core.runnables import RunnableConfig
from rich.console import Console
from rich.text import Text

from langgraph_cooper.graph.cli.store import StoreError, conversation_store, own_thread, storing
from langgraph_cooper.graph.cli.turn import Graph, TurnRun
from langgraph_cooper.graph.cli.view import agents_view, fault_line, summary_line
from langgraph_cooper.graph.cooper import create_cooper
from langgraph_cooper.graph.threads.ids import check_thread_id
from langgraph_cooper.graph.threads.turns import is_unfinished
from langgraph_cooper.nodes.errors import InputError, ModelError
from langgraph_cooper.nodes.intake import check_text
from langgraph_cooper.nodes.language.history import speaker_of
from langgraph_cooper.prompts import CooperError, TaskSpec
from langgraph_cooper.ranker.load import ranker_loader

Faults = tuple[type[CooperError], ...]
TOLD: Faults = (InputError, ModelError)
"""What ends a turn at a terminal and not the conversation."""


@dataclass(frozen=True)
class ChatOptions:
    """What the command line asked for."""

    task: TaskSpec
    model: str | None = None
    thread: str | None = None
    db: Path | None = None
    as_json: bool = False
    show_agents: bool = False
    ranker: str | None = None


def run_chat(options: ChatOptions) -> bool:
    """Holds the conversation until the input ends.

    Returns:
        False if a line of piped input could not be answered, or only with something standing in
        for what failed; the others were.

    Raises:
        CooperError: The conversation cannot be held at all.
    """
    # A pipe's encoding follows the locale, and not every locale can write what people say.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    thread = check_thread_id(options.task.name if options.thread is None else options.thread)
    graph = create_cooper(options.task, model=options.model, ranker=options.ranker)
    with (
        conversation_store(options.db) as store,
        storing(options.db),
        own_thread(options.db, thread),
    ):
        chat = _Chat(options, graph.compile(checkpointer=store), thread)
        chat.check_thread()
        return chat.converse() if sys.stdin.isatty() else chat.answer_lines()


class _Chat:
    def __init__(self, options: ChatOptions, graph: Graph, thread: str) -> None:
        self._options = options
        self._task = options.task
        self._graph = graph
        self._config: RunnableConfig = {"configurable": {"thread_id": thread}}
        self._out = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
        self._err = Console(stderr=True, highlight=False, soft_wrap=True)
        self._faultless = True

    def check_thread(self) -> None:
        """Refuses a thread of another task before anything is added to it."""
        try:
            state = self._graph.get_state(self._config).values
        except Exception as error:  # whatever a damaged file makes the decoder raise
            raise StoreError(
                f"the thread {self._thread!r} in {self._options.db} cannot be read "
                f"({type(error).__name__}: {error}); choose another --thread or --db"
            ) from error
        owner = (state.get("cooper") or {}).get("task")
        if owner and owner != self._task.name:
            raise InputError(
                f"the thread {self._thread!r} belongs to the task {owner!r}: continue it with "
                f"--task {owner}, or choose another --thread"
            )

    @property
    def _thread(self) -> str:
        name: str = self._config["configurable"]["thread_id"]
        return name

    # Piped input ---------------------------------------------------------------------------

    def answer_lines(self) -> bool:
        """Answers each line of standard input."""
        sound = self._safely(self._begin)
        for number, line in enumerate(_lines(), start=1):
            try:
                text = check_text(line)
            except InputError as error:
                self._complain(f"line {number}: {error}")
                sound = False
                continue
            sound = self._safely(partial(self._take, text)) and sound
        return sound and self._faultless

    # At a terminal -------------------------------------------------------------------------

    def converse(self) -> bool:
        """Talks with a person until they leave (Ctrl-D or Ctrl-C)."""
        with suppress(ImportError):  # not on every system; gives input() its arrow keys
            import readline  # noqa: F401
        self._greet()
        # The models load while the person reads and types.
        threading.Thread(target=self._warm_up, daemon=True).start()
        with suppress(KeyboardInterrupt):
            self._safely(self._begin, faults=TOLD)
            for text in self._typed():
                self._safely(partial(self._answer, text), faults=TOLD)
        kept = f" It is kept as thread {self._thread!r}." if self._options.db else ""
        self._out.print(f"\nGoodbye.{kept}", style="dim")
        return True

    def _warm_up(self) -> None:
        with suppress(CooperError):  # the turn that needs it will say what is wrong
            ranker_loader(self._task, self._options.ranker)()

    def _typed(self) -> Iterator[str]:
        while True:
            try:
                text = self._out.input(Text(f"{self._task.user_role}: ", style="bold"))
            except (EOFError, KeyboardInterrupt):
                return
            if text.strip():
                yield text

    def _safely(self, step: Callable[[], None], *, faults: Faults = (InputError,)) -> bool:
        """Takes a step; one of these faults is told, and the talk goes on."""
        try:
            step()
        except faults as error:
            self._complain(str(error))
            return False
        return True

    def _greet(self) -> None:
        who = self._options.model or "offline, without a language model"
        self._out.print(Text(f"{self._task.title} · {who} · Ctrl-D ends it", style="dim"))

    # Both ----------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Finishes a turn that was cut off, or opens where the system speaks first."""
        snapshot = self._graph.get_state(self._config)
        spoken = [m for m in snapshot.values.get("messages", []) if speaker_of(m)]
        if is_unfinished(snapshot):
            user = spoken[-1].text if spoken and speaker_of(spoken[-1]) == "user" else None
            self._take(user, resume=True)
        elif not spoken and self._task.opens == "system":
            self._take(None)

    def _answer(self, text: str) -> None:
        self._take(check_text(text))

    def _take(self, user: str | None, *, resume: bool = False) -> None:
        run = TurnRun(self._graph, self._config, user, resume)
        if self._options.as_json:
            for _ in run:
                pass
            self._print_json(run)
        else:
            self._print_text(run)
        if faults := fault_line(self._task, run.state):
            self._faultless = False
            self._err.print(Text(f"warning: {faults}", style="yellow"))

    def _print_json(self, run: TurnRun) -> None:
        assert run.turn
        sys.stdout.write(json.dumps(run.turn.record(self._task), ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def _print_text(self, run: TurnRun) -> None:
        pieces = iter(run)
        with self._out.status("listening …"):
            first = next(pieces, "")
        self._show(run)
        self._out.print(Text(f"{self._task.system_role}: ", style="bold"), end="")
        for piece in chain([first], pieces):
            self._say(piece)
        self._out.print()

    def _say(self, piece: str | None) -> None:
        text = Text("\n(cut off) ", style="dim") if piece is None else Text(piece)
        self._out.print(text, end="")
        self._out.file.flush()

    def _show(self, run: TurnRun) -> None:
        if self._options.show_agents:
            self._out.print(agents_view(self._task, run.state))
        elif sys.stdout.isatty():
            self._out.print(summary_line(self._task, run.state))

    def _complain(self, message: str) -> None:
        self._err.print(Text(f"error: {message}", style="red"))


def _lines() -> Iterator[str]:
    """The lines of standard input; bytes that are no UTF-8 become replacement characters."""
    for line in sys.stdin.buffer:
        yield line.decode("utf-8", errors="replace")
