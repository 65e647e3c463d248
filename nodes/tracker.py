"""The tracker node of a specialised agent (paper, "Local Analysis")."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnablePassthrough

from langgraph_cooper.nodes.backend import TrackerInput
from langgraph_cooper.nodes.context import current_context
from langgraph_cooper.nodes.language.history import text_of, utterances
from langgraph_cooper.nodes.node import Call, Node, Update, calling_node
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.state import MAX_SUMMARY, AspectReport, Covered, Fault
from langgraph_cooper.prompts import AspectSpec

KEPT: Runnable[str, str] = RunnablePassthrough()


def tracker_node(aspect: AspectSpec, resources: Resources) -> Node:
    """Build the node that updates the aspect's state summary S_i.

    After a fault the last summary stays, marked as stale. It still covers only the messages that
    it was made from: the next turn summarises the messages that this one missed. Where nothing was
    said since, as before the first words or when a message is answered again, the summary stays and
    nobody is asked.
    """

    def prepare(state: Mapping[str, Any]) -> Call:
        report = _valid_report(state.get(aspect.name), state.get("messages", []))
        given = TrackerInput(
            aspect=aspect,
            previous=report["state"],
            said=utterances(state.get("messages", [])[report["covers"]["messages"] :]),
        )
        if not given["said"]:
            return KEPT, report["state"]
        return resources.backend(current_context()).tracker, given

    def finish(state: Mapping[str, Any], summary: str) -> Update:
        report = AspectReport(
            state=summary[:MAX_SUMMARY],
            covers=_covered(state.get("messages", [])),
            stale=False,
            faults=[],
        )
        return {aspect.name: report}

    def on_fault(state: Mapping[str, Any], fault: Fault, _: RunnableConfig) -> Update:
        report = _valid_report(state.get(aspect.name), state.get("messages", []))
        return {aspect.name: {**report, "stale": True, "faults": [fault]}}

    return calling_node("tracker", prepare, finish, on_fault)


def _valid_report(report: AspectReport | None, messages: Sequence[BaseMessage]) -> AspectReport:
    """Return the last report, or an empty one if the messages it covers were edited since."""
    covered = (report or {}).get("covers")
    if report and covered:
        said = messages[: covered["messages"]]
        # An earlier version counted the ids, too; its conversations go on.
        if covered in (_covered(said), _covered(said, [f"{each.id}" for each in said])):
            return report
    nothing = Covered(messages=0, digest="")
    return AspectReport(state="", candidates=[], progress=0.0, targets=[], covers=nothing)


def _covered(messages: Sequence[BaseMessage], names: Sequence[str] | None = None) -> Covered:
    if not messages:
        return Covered(messages=0, digest="")
    # Not by their ids: clients that bring all messages along need not name them.
    names = names or [message.type for message in messages]
    pairs = zip(names, messages, strict=True)
    text = "\x1f".join(f"{name}\x1e{text_of(message)}" for name, message in pairs)
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
    return Covered(messages=len(messages), digest=digest)
