"""Shows which steps a person waits for, and how long, in one line that vanishes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

from langgraph_cooper.prompts import TaskSpec

SHOWN = {
    "tracker": "tracking",
    "promoter": "looking for topics",
    "progression": "measuring progress",
    "coordinator": "ranking",
    "generator": "writing",
}
"""The steps of a turn that may take long, in their order."""


class Waiting(BaseCallbackHandler):
    """Notes which steps of a turn are under way, and shows them at a terminal.

    Args:
        task: The task, whose aspects name the agents.
        console: Where to show them; nothing is shown where it is not a terminal.
    """

    run_inline = True

    def __init__(self, task: TaskSpec, console: Console) -> None:
        self._aspects = task.aspect_names
        self._console = console
        self._running: dict[UUID, tuple[str, str]] = {}  # step and aspect, by run
        self._lock = threading.Lock()
        self._show: Callable[[str], None] = lambda _: None

    @property
    def config(self) -> RunnableConfig:
        """The configuration of the run to be watched."""
        return RunnableConfig(callbacks=[self]) if self._console.is_terminal else RunnableConfig()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the steps and the seconds of the turn while the block runs."""
        text = TextColumn("{task.description}", table_column=Column(no_wrap=True))
        columns = (SpinnerColumn(), text, TimeElapsedColumn())
        console = self._console
        with Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        ) as progress:
            job = progress.add_task("listening", total=None)
            self._show = lambda told: progress.update(job, description=told)
            try:
                yield
            finally:
                self._show = lambda _: None

    def on_chain_start(
        self,
        *_: Any,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        name: str | None = None,
        **__: Any,
    ) -> None:
        """Note the beginning of a step."""
        known = metadata or {}
        step = known.get("langgraph_node")
        if step not in SHOWN or name != step:
            return
        # "exploration:id|tracker:id": the agent's node is around its step's.
        around = str(known.get("langgraph_checkpoint_ns", "")).split("|")[:-1]
        names = [part.partition(":")[0] for part in around]
        aspect = next((name for name in reversed(names) if name in self._aspects), "")
        with self._lock:
            self._running[run_id] = step, aspect
            self._show(self.told())

    def on_chain_end(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """Note the end of a step."""
        with self._lock:
            if self._running.pop(run_id, None):
                self._show(self.told())

    def on_chain_error(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """Note the end of a step that failed."""
        self.on_chain_end(run_id=run_id)

    def told(self) -> str:
        """Return the steps under way, each with its agents: "tracking: exploration, action"."""
        running = set(self._running.values())
        told = []
        for step, words in SHOWN.items():
            if agents := [name for name in (*self._aspects, "") if (step, name) in running]:
                told.append(f"{words}: {', '.join(agents)}" if any(agents) else words)
        return "; ".join(told) or "listening"
