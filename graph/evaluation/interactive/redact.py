"""Takes the words out of recorded conversations and leaves their course."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langgraph_cooper.graph.evaluation.interactive.rows import (
    CONVERSATIONS,
    Conversation,
    Said,
    digest,
)
from langgraph_cooper.graph.evaluation.kept import SETTINGS, VERSION

REDACTED = "redacted"
ADDRESS = re.compile(r"https?://\S+")
COMMAND_LINE = re.compile(r"(?<=command:).*", re.DOTALL)
GOAL = re.compile(r"(?<=[?&]goal=)[^&]*")
LETTER, DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"\d")


def masked(text: str) -> str:
    """Return a text with every letter as "x" and every digit as "0": its length and marks stay."""
    return DIGIT.sub("0", LETTER.sub("x", text))


def without_addresses(text: str) -> str:
    """Return a text with its web addresses left out."""
    return ADDRESS.sub("(an address)", text)


def redacted(rows: Sequence[Conversation]) -> list[Conversation]:
    """Return conversations without their words.

    Speakers, lengths, aspects, strategies, scores, progress, the guard and the end stay. The
    models' answers go, and so do addresses, goals and what a program was started with. Roles and
    systems that are different stay so.
    """
    systems = _numbered(row.system for row in rows)
    identities = _numbered(row.identity for row in rows)
    return [_redacted(row, systems[row.system], identities[row.identity]) for row in rows]


def _redacted(row: Conversation, system: str, identity: str) -> Conversation:
    # A hash of the whole role: from one of the id alone a short name could be guessed.
    id = digest(row.role.model_dump())[:ID_LENGTH]
    texts = {name: masked(getattr(row.role, name)) for name in ROLE_TEXTS}
    return row.model_copy(
        update={
            "role": row.role.model_copy(update={"id": id, **texts}),
            "said": tuple(_said(each) for each in row.said),
            "ended": row.ended.model_copy(update={"told": masked(row.ended.told)}),
            "system": system,
            "identity": identity,
            "record": {},
        }
    )


ROLE_TEXTS = ("situation", "problem", "emotion", "opening")
ID_LENGTH = 12


def _numbered(systems: Iterable[str]) -> dict[str, str]:
    """Return what each name or identity of a system becomes; one that hides something is numbered.

    A hash would tell them apart, too, but an address of a private network is soon guessed from it.
    """
    found: dict[str, str] = {}
    for number, text in enumerate(dict.fromkeys(systems), start=1):
        hidden = _hidden(text)
        found[text] = hidden if hidden == text else f"{hidden} {number}"
    return found


def _hidden(system: str) -> str:
    """Return a system's name or identity without addresses, goals and a program's words."""
    hidden = without_addresses(system)
    for words in (COMMAND_LINE, GOAL):
        hidden = words.sub(lambda found: masked(found[0]), hidden)
    return hidden


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
    kept = redacted(rows) if redact else rows
    dumped = [row.model_dump(mode="json", exclude_defaults=True) for row in kept]
    return [json.dumps(line, ensure_ascii=False) + "\n" for line in (header, *dumped)]
