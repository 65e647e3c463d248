"""Which module of COOPER a prompt belongs to, told from the shipped prompts' own words."""

from __future__ import annotations

import json
import re
from typing import Literal, NamedTuple

Role = Literal["tracker", "promoter", "generator"]

MARKS: dict[str, Role] = {
    r"You keep track of one aspect of it: (\w+)\.": "tracker",
    r"You look after one aspect of it: (\w+)\.": "promoter",
    r"(Write) your next utterance\.": "generator",
}


class Asked(NamedTuple):
    """Who asks, and for which aspect; the generator looks after none."""

    role: Role
    aspect: str | None

    @property
    def key(self) -> str:
        """As scripts name it: "tracker:exploration", "generator"."""
        return f"{self.role}:{self.aspect}" if self.aspect else self.role


def recognise(system: str) -> Asked:
    """Tells tracker, promoter and generator apart by their system prompt."""
    for pattern, role in MARKS.items():
        if found := re.search(pattern, system):
            return Asked(role, None if role == "generator" else found.group(1))
    raise AssertionError(f"no module of COOPER asks like this: {system[:200]!r}")


def sensible(system: str) -> str:
    """What a model that does as it is told would answer to this system prompt."""
    role, aspect = recognise(system)
    if role == "tracker":
        return f"What is known about {aspect}."
    if role == "generator":
        return "I hear you, and I am glad you told me."
    listed = re.search(r"List (\d+) ", system)
    count = int(listed.group(1)) if listed else 4
    topics = [{"topic": f"Topic {n} of {aspect}", "strategy": ""} for n in range(1, count + 1)]
    return json.dumps({"candidates": topics})
