"""The state tracker of a specialised agent (paper, "Local Analysis")."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig

from langgraph_cooper.nodes.backend import TrackerInput
from langgraph_cooper.nodes.context import current_context
from langgraph_cooper.nodes.language.history import utterances
from langgraph_cooper.nodes.node import Call, Node, Update, calling_node
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.state import AspectReport, Covered, Fault
from langgraph_cooper.prompts import AspectSpec

MAX_SUMMARY = 4_000
"""Characters: several times what is asked for, and what every later prompt can bear."""


def tracker_node(aspect: AspectSpec, resources: Resources) -> Node:
    """Builds the node that brings the aspect's state summary S_i up to date.

    Where it fails the last summary stands in, marked as stale. It still covers only the messages
    that it was made from: the next turn summarises what this one missed.
    """

    def prepare(state: Mapping[str, Any]) -> Call:
        report = _still_true(state.get(aspect.name), state.get("messages", []))
        given = TrackerInput(
            aspect=aspect,
            previous=report["state"],
            said=utterances(state.get("messages", [])[report["covers"]["messages"] :]),
        )
        return resources.backend(current_context()).tracker, given

    def finish(state: Mapping[str, Any], summary: str) -> Update:
        known = AspectReport(
            state=summary[:MAX_SUMMARY],
            covers=_covered(state.get("messages", [])),
            stale=False,
            faults=[],
        )
        return {aspect.name: {**(state.get(aspect.name) or {}), **known}}

    def instead(state: Mapping[str, Any], fault: Fault, _: RunnableConfig) -> Update:
        report = _still_true(state.get(aspect.name), state.get("messages", []))
        return {aspect.name: {**report, "stale": True, "faults": [fault]}}

    return calling_node("tracker", prepare, finish, instead)


def _still_true(report: AspectReport | None, messages: Sequence[BaseMessage]) -> AspectReport:
    """The last report, or an empty one if the messages it was made from were edited since."""
    covered = (report or {}).get("covers")
    if report and covered and covered == _covered(messages[: covered["messages"]]):
        return report
    return AspectReport(state="", covers=Covered(messages=0, digest=""))


def _covered(messages: Sequence[BaseMessage]) -> Covered:
    if not messages:
        return Covered(messages=0, digest="")
    text = "\x1f".join(f"{message.id}\x1e{message.text}" for message in messages)
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
    return Covered(messages=len(messages), digest=digest)
