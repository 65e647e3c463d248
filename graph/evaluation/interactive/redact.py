"""Takes the words out of recorded conversations and leaves their course."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from langgraph_cooper.graph.evaluation.interactive.rows import CONVERSATIONS, Conversation, Said
from langgraph_cooper.graph.evaluation.kept import SETTINGS, VERSION

REDACTED = "redacted"
ADDRESS = re.compile(r"https?://\S+")
COMMAND_LINE = re.compile(r"(?<=command:).*", re.DOTALL)
LETTER, DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"\d")


def masked(text: str) -> str:
    """Return a text with every letter as "x" and every digit as "0": its length and marks stay."""
    return DIGIT.sub("0", LETTER.sub("x", text))


def without_addresses(text: str) -> str:
    """Return a text with its web addresses left out."""
    return ADDRESS.sub("(an address)", text)


def redacted(row: Conversation) -> Conversation:
    """Return a conversation without its words.

    Speakers, lengths, aspects, strategies, scores, progress, the guard and the end stay. The
    models' answers go, and so does what a program was started with.
    """
    role = row.role.model_copy(
        update={
            "id": masked(row.role.id) or "x",
            **{name: masked(getattr(row.role, name)) for name in ROLE_TEXTS},
        }
    )
    ended = row.ended.model_copy(update={"told": masked(row.ended.told)})
    identity = COMMAND_LINE.sub(lambda found: masked(found[0]), without_addresses(row.identity))
    return row.model_copy(
        update={
            "role": role,
            "said": tuple(_said(each) for each in row.said),
            "ended": ended,
            "identity": identity,
            "record": {},
        }
    )


ROLE_TEXTS = ("situation", "problem", "emotion", "opening")


def _said(said: Said) -> Said:
    why = dict(said.why)
    if "states" in why:
        why["states"] = {name: masked(text) for name, text in why["states"].items()}
    if "ranking" in why:
        why["ranking"] = [{**each, "topic": masked(each["topic"])} for each in why["ranking"]]
    return Said(speaker=said.speaker, text=masked(said.text), why=why)


def record_lines(
    settings: Mapping[str, Any], rows: Sequence[Conversation], *, redact: bool
) -> list[str]:
    """Return the lines of a file that holds some conversations of another one."""
    told = dict(settings)
    if redact:
        told |= {REDACTED: True, "user": without_addresses(str(settings.get("user", "")))}
    header = {"key": SETTINGS, "cooper": CONVERSATIONS, "version": VERSION, SETTINGS: told}
    kept = [redacted(row) if redact else row for row in rows]
    dumped = [row.model_dump(mode="json", exclude_defaults=True) for row in kept]
    return [json.dumps(line, ensure_ascii=False) + "\n" for line in (header, *dumped)]
