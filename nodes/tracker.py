"""The state tracker of a specialised agent (paper, "Local Analysis")."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from langgraph_cooper.nodes.backend import TrackerInput
from langgraph_cooper.nodes.context import current_context
from langgraph_cooper.nodes.history import utterances
from langgraph_cooper.nodes.node import Call, Node, Update, calling_node
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.state import AspectReport, Covered
from langgraph_cooper.prompts import AspectSpec


def tracker_node(aspect: AspectSpec, resources: Resources) -> Node:
    """Builds the node that brings the aspect's state summary S_i up to date."""

    def prepare(state: Mapping[str, Any]) -> Call:
        messages = state.get("messages", [])
        report: AspectReport = state.get(aspect.name) or AspectReport()
        covered = report.get("covers", Covered(messages=0, digest=""))
        if covered != _covered(messages[: covered["messages"]]):
            # Messages were edited or taken back: what was known no longer holds.
            report, covered = AspectReport(), Covered(messages=0, digest="")
        given = TrackerInput(
            aspect=aspect,
            previous=report.get("state", ""),
            said=utterances(messages[covered["messages"] :]),
        )
        return resources.backend(current_context()).tracker, given

    def finish(state: Mapping[str, Any], summary: str) -> Update:
        known = AspectReport(state=summary, covers=_covered(state.get("messages", [])))
        return {aspect.name: {**(state.get(aspect.name) or {}), **known}}

    return calling_node("tracker", prepare, finish)


def _covered(messages: Sequence[BaseMessage]) -> Covered:
    if not messages:
        return Covered(messages=0, digest="")
    text = "\x1f".join(f"{message.id}\x1e{message.text}" for message in messages)
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
    return Covered(messages=len(messages), digest=digest)
