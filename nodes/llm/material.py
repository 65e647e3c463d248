"""Text from outside, laid into a prompt as material and never as instructions."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from langgraph_cooper.nodes.history import clean
from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.ranker.dialogue import Utterance


def delimited(label: str, text: str) -> str:
    """Puts text between delimiters that nobody could have written into it beforehand."""
    token = secrets.token_hex(8)
    return f"<{label} {token}>\n{text}\n</{label} {token}>"


def transcript(task: TaskSpec, said: Iterable[Utterance]) -> str:
    """One line an utterance, so that no utterance can forge a line of the other side's."""
    roles = {"user": task.user_role.capitalize(), "system": task.system_role.capitalize()}
    return "\n".join(f"{roles[u.speaker]}: {clean(u.text)}" for u in said)
