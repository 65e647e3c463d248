"""Conversations that the guard reads."""

from __future__ import annotations

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from langgraph_cooper.nodes.guard import guard_node
from langgraph_cooper.nodes.state import GuardState
from langgraph_cooper.prompts import load_task

ESC = load_task("esc")


def said(*texts: str) -> dict[str, list[AnyMessage]]:
    turns: list[AnyMessage] = []
    for number, text in enumerate(texts):
        turns += [HumanMessage(text, id=f"u{number}"), AIMessage("I see.", id=f"s{number}")]
    return {"messages": turns[:-1]}


def talked(*texts: str) -> tuple[GuardState, list[AnyMessage]]:
    """Return what the guard knows after a conversation, and the conversation."""
    node, known, talk = guard_node(ESC), GuardState(), list[AnyMessage]()
    for number, text in enumerate(texts):
        talk.append(HumanMessage(text, id=f"u{number}"))
        update = node.invoke({"messages": talk, "guard": known})
        known = update["guard"]
        talk += update.get("messages") or [AIMessage("I see.", id=f"r{number}")]
    return known, talk
