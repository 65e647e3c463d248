"""What a person can type in `cooper chat` besides messages."""

from __future__ import annotations

import re

from rich.console import Group, RenderableType
from rich.table import Table

from langgraph_cooper.graph.cli.terminal import PlainText
from langgraph_cooper.nodes.guard import pinned_text
from langgraph_cooper.prompts import TaskSpec

COMMANDS = {
    "help": "lists these commands",
    "why": "shows what guided the last reply",
    "agents": "shows what the agents think, and the head of the ranking",
    "again": "answers the last message again; the new reply replaces the old one",
    "new": "begins a new conversation; this one stays as it is",
    "quit": "ends it, as do exit and Ctrl-D",
}
QUIT = "quit"
LEAVING = ("exit", "quit", "/exit")
"""Other ways to leave, alone on a line."""

COMMAND = re.compile(r"/([a-z]+)", re.IGNORECASE)


def command_in(text: str) -> str | None:
    """Return the command that a line is, known or not; None for a message."""
    word = text.strip()
    if word.lower() in LEAVING:
        return QUIT
    found = COMMAND.fullmatch(word)
    return found[1].lower() if found else None


def help_view(task: TaskSpec) -> RenderableType:
    """Return what `/help` shows: the commands, and in a guarded task where help is."""
    commands = Table.grid(padding=(0, 2))
    for name, told in COMMANDS.items():
        commands.add_row(PlainText(f"/{name}", style="bold"), PlainText(told))
    if task.guard is None:
        return commands
    return Group(commands, PlainText(), PlainText(pinned_text("other", None, task.guard)))
