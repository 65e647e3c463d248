"""A person's review of a crisis, and the release of a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.types import interrupt

from langgraph_cooper.nodes.guard.memory import digest_of, remembered
from langgraph_cooper.nodes.language.history import text_of
from langgraph_cooper.nodes.node import Node, Update, quick_node
from langgraph_cooper.nodes.state import GuardState


def review_node() -> Node:
    """Build the node that waits for a person's decision, after the help text is saved.

    `Command(resume={"release": True})` lifts the guard. Any other answer keeps it, and the guard
    does not ask again.
    """

    def review(state: Mapping[str, Any]) -> Update:
        messages: Sequence[AnyMessage] = state["messages"]
        known: GuardState = state["guard"]
        said = [text_of(m) for m in messages if isinstance(m, HumanMessage)]
        decision = interrupt(
            {"kind": known["kind"], "said": said[-1] if said else "", "answer": messages[-1].text}
        )
        if isinstance(decision, Mapping) and decision.get("release") is True:
            return released(state)
        return {"guard": {**known, "reviewed": True, "awaits_review": False}}

    return quick_node("review", review)


def released(state: Mapping[str, Any]) -> Update:
    """Return the state update that lifts the guard; it reads only messages that come later.

    `graph.update_state(config, released(graph.get_state(config).values), as_node="review")`

    Args:
        state: The conversation's state.
    """
    messages: Sequence[AnyMessage] = state.get("messages", [])
    last = messages[-1].id if messages else None
    now = GuardState(tier="none", fired=False, reviewed=True, through=last or "")
    return {"guard": {**now, "digest": digest_of(messages), "settled": remembered(messages)}}
