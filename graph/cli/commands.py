"""What a person can type in `cooper chat` besides messages."""

from __future__ import annotations

import re

from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.guard import pinned_text
from langgraph_cooper.prompts import TaskSpec

COMMANDS = {
    "help": "lists these commands",
    "why": "shows what guided the last reply",
    "agents": "shows what the agents think, and the whole ranking",
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


def help_text(task: TaskSpec) -> str:
    """Return what `/help` shows: the commands, and in a guarded task where help is."""
    lines = [f"/{name:<7} {told}" for name, told in COMMANDS.items()]
    if task.guard:
        lines += ["", pinned_text("other", CooperContext().country, task.guard)]
    return "\n".join(lines)
