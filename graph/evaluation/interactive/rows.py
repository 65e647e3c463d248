"""The row of a conversation: everything that was said, why, and how it ended."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from langgraph_cooper.graph.evaluation.kept import open_rows
from langgraph_cooper.nodes.finetuned.users import Manner
from langgraph_cooper.prompts.errors import first_fault
from langgraph_cooper.ranker.data.dialogue import DataError, Speaker, Utterance
from langgraph_cooper.ranker.data.roles import Role

CONVERSATIONS = "conversations"
"""What a file of conversations says that it holds."""

By = Literal["user", "system", "limit", "fault"]
Problem = tuple[str, Manner, int]
"""What conversations of different systems are paired by: a hash of the role, manner, seed."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Said(_Record):
    """An utterance of a conversation.

    Attributes:
        speaker: "user" or "system".
        text: What was said.
        why: Of the system: `states`, `progress`, `ranking` (each candidate with its `id`), `guard`,
            `aspect` and `state`, the digest of the whole state. Of the user: `leaves`.
    """

    speaker: Speaker
    text: str
    why: dict[str, Any] = {}


class Ended(_Record):
    """How a conversation ended.

    Attributes:
        by: Who ended it; "limit" for the limit of rounds, "fault" for what was no part of it.
        how: "goodbye", "silence", "at once" (before the other had said anything), "rounds", or a
            fault: its side and kind, such as "system: timeout".
        told: The fault in a sentence.
    """

    by: By
    how: str
    told: str = ""


class Conversation(_Record):
    """A conversation.

    Attributes:
        key: A hash of all that it was made from.
        role: Whom the user played.
        manner: How.
        system: The system's name.
        identity: Tells the system from others of the same name.
        seed: Of everything random.
        said: All that was said.
        ended: How it ended.
        record: The models' answers to the system, for `cooper replay`.
    """

    key: str
    role: Role
    manner: Manner
    system: str
    identity: str
    seed: int
    said: tuple[Said, ...]
    ended: Ended
    record: dict[str, Any] = {}

    @property
    def history(self) -> list[Utterance]:
        """Speaker and text of all that was said."""
        return [Utterance(each.speaker, each.text) for each in self.said]

    @property
    def problem(self) -> Problem:
        """The problem that it is about."""
        return problem_of(self.role, self.manner, self.seed)

    def texts(self, speaker: Speaker) -> list[str]:
        """What one side said."""
        return [each.text for each in self.said if each.speaker == speaker]

    @property
    def whole(self) -> bool:
        """Whether both sides spoke and no fault ended it, so that it can be compared."""
        return self.ended.by != "fault" and all(self.texts(side) for side in ("user", "system"))


def problem_of(role: Role, manner: Manner, seed: int) -> Problem:
    """Return what conversations are paired by; an edited role is another problem."""
    return digest(role.model_dump()), manner, seed


def read_conversations(file: Path) -> tuple[dict[str, Any], list[Conversation]]:
    """Read a file of conversations: its settings, and its rows.

    Raises:
        DataError: It cannot be read, holds none, or holds something else.
    """
    if not file.is_file():
        raise DataError(f"{file} cannot be read: there is no such file")
    settings, rows = open_rows(file, CONVERSATIONS)
    if not settings or not rows:
        raise DataError(
            f"{file} holds no conversations: hold some with 'cooper evaluate interactive'"
        )
    try:
        return settings, [Conversation.model_validate(row) for row in rows.values()]
    except ValidationError as error:
        raise DataError(
            f"{file} holds a malformed conversation ({first_fault(error)}): hold it again"
        ) from None


def digest(*parts: object) -> str:
    """A hash of plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def counted_ends(rows: Sequence[Conversation]) -> dict[str, dict[str, int]]:
    """System -> "by: how" -> number of conversations."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        counts = found.setdefault(row.system, {})
        name = f"{row.ended.by}: {row.ended.how}"
        counts[name] = counts.get(name, 0) + 1
    return found


def plain(value: object) -> Any:
    """Return a state's value as plain JSON, its floats to five places."""
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value
