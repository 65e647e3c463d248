"""Utterance generation from the top-K candidates (paper, "Utterance Generation")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage

from langgraph_cooper.nodes.backend import GeneratorInput
from langgraph_cooper.nodes.context import current_context
from langgraph_cooper.nodes.history import utterances
from langgraph_cooper.nodes.node import Call, Node, Update, calling_node
from langgraph_cooper.nodes.resources import Resources


def generator_node(resources: Resources) -> Node:
    """Builds the node that says the next utterance U and adds it to the messages."""

    def prepare(state: Mapping[str, Any]) -> Call:
        context = current_context()
        given = GeneratorInput(
            history=utterances(state.get("messages", [])),
            topics=state["ranking"][: context.k or resources.task.k],
        )
        return resources.backend(context).generator, given

    def finish(_: Mapping[str, Any], answer: AIMessage) -> Update:
        return {"messages": [answer]}

    return calling_node("generator", prepare, finish)
