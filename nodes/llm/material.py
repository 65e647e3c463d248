"""Text from outside, laid into a prompt as material and never as instructions."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable

from langgraph_cooper.nodes.language.history import clean
from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.ranker.data.dialogue import Utterance

# The marks with which chat templates tell one role's words from another's: some servers take them
# for the real ones wherever they stand.
ROLE_MARKS = re.compile(
    r"<[|\uff5c][^|\uff5c<>]{1,40}[|\uff5c]>|</?(?:s|bos|eos|start_of_turn|end_of_turn)>|\[/?INST\]|<</?SYS>>",
    re.IGNORECASE,
)


def delimited(label: str, text: str) -> str:
    """Puts text between delimiters that nobody could have written into it beforehand."""
    token = secrets.token_hex(8)
    return f"<{label} {token}>\n{text}\n</{label} {token}>"


def plain(text: str, limit: int | None = None) -> str:
    """Text on one line, without marks that a server might take for the end of it."""
    text = clean(text)
    while (bare := ROLE_MARKS.sub(" ", text)) != text:  # one may come about by another's going
        text = bare
    return " ".join(text.split())[:limit]


def transcript(task: TaskSpec, said: Iterable[Utterance]) -> str:
    """One line an utterance, so that no utterance can forge a line of the other side's."""
    roles = {"user": task.user_role.capitalize(), "system": task.system_role.capitalize()}
    return "\n".join(f"{roles[u.speaker]}: {plain(u.text)}" for u in said)
