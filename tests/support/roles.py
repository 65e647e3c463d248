"""Recognises the module of COOPER that a prompt belongs to, by the shipped prompts' words."""

from __future__ import annotations

import json
import re
from typing import Literal, NamedTuple

Role = Literal["guard", "tracker", "promoter", "generator"]

MARKS: dict[str, Role] = {
    r"You keep track of one aspect of it: (\w+)\.": "tracker",
    r"You look after one aspect of it: (\w+)\.": "promoter",
    r"(Write) your next utterance\.": "generator",
    r"You are an experienced (crisis) counsellor\.": "guard",
}


class Asked(NamedTuple):
    """The module that asks, and its aspect; the generator and the guard have none."""

    role: Role
    aspect: str | None

    @property
    def key(self) -> str:
        """Its key in scripts: "tracker:exploration", "generator"."""
        return f"{self.role}:{self.aspect}" if self.aspect else self.role


def recognise(system: str) -> Asked:
    """Tell the modules apart by their system prompt."""
    for pattern, role in MARKS.items():
        if found := re.search(pattern, system):
            return Asked(role, found.group(1) if role in ("tracker", "promoter") else None)
    raise AssertionError(f"no module of COOPER asks like this: {system[:200]!r}")


def sensible(system: str) -> str:
    """Return the answer of an obedient model to this system prompt."""
    role, aspect = recognise(system)
    if role == "tracker":
        return f"What is known about {aspect}."
    if role == "guard":
        return "none"
    if role == "generator":
        return "I hear you, and I am glad you told me."
    listed = re.search(r"List (\d+) ", system)
    count = int(listed.group(1)) if listed else 4
    topics = [{"topic": f"Topic {n} of {aspect}", "strategy": ""} for n in range(1, count + 1)]
    return json.dumps({"candidates": topics})
