"""A small, sound task in the form of a task file, for tests to spoil."""

from __future__ import annotations

import copy
from typing import Any

import pytest

SMALL: dict[str, Any] = {
    "name": "tea",
    "title": "a chat over tea",
    "goal": "Have a nice time.",
    "user_role": "guest",
    "system_role": "host",
    "aspects": [
        {
            "name": "welcome",
            "summarise": "how welcome the guest feels",
            "propose": "ways to welcome them",
            "strategies": ["Greet"],
            "topics": [
                {"topic": "Offer tea.", "strategy": "Greet", "say": ["Would you like tea?"]}
            ],
        },
        {
            "name": "cake",
            "summarise": "whether there is cake",
            "propose": "cakes",
            "strategies": ["Offer", "greet"],
        },
    ],
    "passive": [
        {
            "name": "thanks",
            "cues": ["thanks"],
            "topics": [{"topic": "Welcome.", "strategy": "Other", "say": ["You're welcome."]}],
        }
    ],
    "passive_strategies": ["Other"],
    "subjects": [{"id": "milk", "phrase": "the milk", "cues": ["milk"]}],
    "prompts": {
        "tracker": "Summarise {summarise}.",
        "promoter": "List {m} {propose}.",
        "generator": "Say {topics} in {words} words.",
    },
}


@pytest.fixture
def fields() -> dict[str, Any]:
    """The task's fields, to be changed at will."""
    return copy.deepcopy(SMALL)
