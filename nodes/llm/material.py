"""Puts text from outside into a prompt as material and never as instructions."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable

from langgraph_cooper.nodes.language.history import clean
from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.ranker.data.dialogue import Utterance

# The role marks of chat templates: some servers obey them wherever they stand.
ROLE_MARKS = re.compile(
    r"<[|\uff5c][^|\uff5c<>]{1,40}[|\uff5c]>|</?(?:s|bos|eos|start_of_turn|end_of_turn)>|\[/?INST\]|<</?SYS>>",
    re.IGNORECASE,
)


def delimited(label: str, text: str) -> str:
    """Put text between random delimiters, which the text cannot contain."""
    token = secrets.token_hex(8)
    return f"<{label} {token}>\n{text}\n</{label} {token}>"


def prompt_line(text: str, limit: int | None = None) -> str:
    """Return the text on one line without role marks, cut to the limit."""
    text = clean(text)
    while (bare := ROLE_MARKS.sub(" ", text)) != text:  # removing one mark may form another
        text = bare
    return " ".join(text.split())[:limit]


def transcript(task: TaskSpec, said: Iterable[Utterance]) -> str:
    """Write one line for each utterance, so that none can forge a line of the other side."""
    roles = {"user": task.user_role.capitalize(), "system": task.system_role.capitalize()}
    return "\n".join(f"{roles[u.speaker]}: {prompt_line(u.text)}" for u in said)
