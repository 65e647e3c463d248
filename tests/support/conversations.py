"""Scripted users and systems of whole conversations."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.support.openai_server import Reply, Request, obey

ROLES = (
    {"id": "anna", "situation": "I lost my job.", "problem": "job crisis", "emotion": "fear"},
    {"id": "ben", "situation": "She left me.", "problem": "breakup", "opening": "Hi, she left me."},
)
LINES = ("I feel awful.", "What should I do?", "It is hard to say.", "Maybe.", "Goodbye.")


def write_roles(folder: Path, *roles: dict[str, Any]) -> Path:
    """Write a file of roles."""
    file = folder / "roles.jsonl"
    file.write_text("".join(json.dumps(role) + "\n" for role in roles or ROLES), "utf-8")
    return file


def conversation(
    system: str, role: str, *replies: str, manner: str = "cooperative", **fields: Any
) -> dict[str, Any]:
    """A row of a kept conversation whose user asks the same in each."""
    said: list[dict[str, Any]] = []
    for reply in replies:
        why = {"aspect": "exploration", "progress": {"exploration": 0.5}}
        said.append({"speaker": "user", "text": "What should I do?"})
        said.append({"speaker": "system", "text": reply, "why": why})
    return {
        "key": f"{system} {role} {manner}", "role": {"id": role, "problem": "x"},
        "manner": manner, "system": system, "identity": system, "seed": 1, "said": said,
        "ended": {"by": "limit", "how": "rounds"}, **fields,
    }  # fmt: skip


def write_conversations(file: Path, *rows: dict[str, Any], task: str = "esc") -> Path:
    """Write a file of conversations."""
    header = {
        "key": "settings",
        "cooper": "conversations",
        "version": 1,
        "settings": {"task": task},
    }
    file.write_text("".join(json.dumps(row) + "\n" for row in (header, *rows)), "utf-8")
    return file


def plays_user(request: Request) -> bool:
    """Return whether the endpoint is asked to play a person."""
    return "You play a person" in request.system


def talking(
    user: Sequence[str] = LINES, system: Callable[[Request], Reply] | None = None
) -> Callable[[Request], Reply]:
    """Answer as a user that says lines in order, and as an obedient system."""

    def answer(request: Request) -> Reply:
        if plays_user(request):
            answered = request.given.count("Supporter:") + request.given.count("Persuader:")
            return Reply(user[min(answered, len(user) - 1)])
        if system:
            return system(request)
        try:
            return obey(request)
        except AssertionError:
            return Reply("That sounds hard.")

    return answer
