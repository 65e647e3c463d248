"""Shows which steps a person waits for, and how long, in one line that vanishes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

from langgraph_cooper.nodes.events import Event
from langgraph_cooper.prompts import TaskSpec

SHOWN = {
    "tracker": "tracking",
    "promoter": "looking for topics",
    "progression": "measuring progress",
}
"""The stages of an agent, in their order."""


class Waiting:
    """Notes from a turn's events what is under way, and shows it at a terminal.

    Args:
        task: The task, whose aspects name the agents.
        console: Where to show it; nothing is shown where it is not a terminal.
    """

    def __init__(self, task: TaskSpec, console: Console) -> None:
        self._aspects = task.aspect_names
        self._console = console
        self._running: set[tuple[str, str]] = set()  # stage and aspect
        self._between = "listening"
        self._show: Callable[[str], None] = lambda _: None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show what is under way and the seconds of the turn while the block runs."""
        text = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True))
        columns = (SpinnerColumn(), text, TimeElapsedColumn())
        console = self._console
        with Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        ) as progress:
            job = progress.add_task(self.told(), total=None)
            self._show = lambda told: progress.update(job, description=told)
            try:
                yield
            finally:
                self._show = lambda _: None

    def hear(self, event: Event) -> None:
        """Note an event."""
        if event.type == "agent":
            place = event.stage, event.aspect
            if event.status == "started":
                self._running.add(place)
            else:
                self._running.discard(place)
            self._between = "ranking"
        elif event.type == "ranking":
            self._between = "writing"
        self._show(self.told())

    def told(self) -> str:
        """Return what is under way, with its agents: "tracking: exploration, action"."""
        told = []
        for stage, words in SHOWN.items():
            if agents := [name for name in self._aspects if (stage, name) in self._running]:
                told.append(f"{words}: {', '.join(agents)}")
        return "; ".join(told) or self._between
