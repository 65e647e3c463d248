"""What of a thread's state a row keeps, and the digest of the whole state."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from langgraph_cooper.graph.evaluation.interactive.rows import digest, plain
from langgraph_cooper.prompts import TaskSpec


def why_of(task: TaskSpec, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return why a system said what it said: `states`, `progress`, `ranking`, `guard`, `aspect`.

    `faults` holds the turn's faults.
    """
    reports = {name: state.get(name) or {} for name in task.aspect_names}
    guard: Mapping[str, Any] = state.get("guard") or {}
    # While the guard answers, the state still holds the ranking of an earlier turn.
    ranked = [] if guard.get("fired") else state.get("ranking") or []
    faults = [fault for each in reports.values() for fault in each.get("faults", [])]
    faults += (state.get("cooper") or {}).get("faults", [])
    progress = {name: each["progress"] for name, each in reports.items() if "progress" in each}
    found = {
        "states": {name: each.get("state", "") for name, each in reports.items()},
        "progress": progress,
        "ranking": [_candidate(each) for each in ranked],
        "guard": {key: guard[key] for key in ("tier", "fired", "kind") if key in guard},
        "aspect": ranked[0]["aspect"] if ranked else None,
        "faults": faults,
    }  # fmt: skip
    return dict(plain(found))


def _candidate(ranked: Mapping[str, Any]) -> dict[str, Any]:
    """A ranked candidate with an id: the same candidate has the same one in every row."""
    made_of = [ranked["aspect"], ranked["strategy"], ranked["topic"], ranked["source"]]
    return {"id": digest(made_of)[:12], **ranked}


def canonical_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a thread's state as plain values that are the same in every run of it.

    The ids that LangChain draws for messages are numbered in their place, the hash made with them
    is left out, and floats have five places.
    """
    messages = list(state.get("messages", []))
    names = {message.id: f"message-{place}" for place, message in enumerate(messages)}
    found: dict[str, Any] = {
        key: _renamed(value, names) for key, value in state.items() if key != "messages"
    }
    found["messages"] = [
        {"id": names[m.id], "type": m.type, "text": m.text, "choice": _choice(m)} for m in messages
    ]
    return dict(plain(found))


def _choice(message: Any) -> Any:
    return {k: v for k, v in message.response_metadata.items() if k.startswith("cooper_")}


def _renamed(value: Any, names: Mapping[str | None, str]) -> Any:
    if isinstance(value, Mapping):
        kept = {k: v for k, v in value.items() if not (k == "digest" and "messages" in value)}
        return {names.get(key, key): _renamed(each, names) for key, each in kept.items()}
    if isinstance(value, list | tuple):
        return [_renamed(each, names) for each in value]
    return names.get(value, value) if isinstance(value, str) else value


def state_bytes(state: Mapping[str, Any]) -> bytes:
    """Return the canonical state as JSON."""
    return json.dumps(canonical_state(state), sort_keys=True, default=str).encode()


def state_digest(state: Mapping[str, Any]) -> str:
    """Return the hash of the canonical state."""
    return hashlib.sha256(state_bytes(state)).hexdigest()
