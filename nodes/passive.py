"""The passive node: proposes what serves no aspect, such as a greeting or thanks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import RunnableLambda

from langgraph_cooper.nodes.context import current_context
from langgraph_cooper.nodes.language.history import utterances
from langgraph_cooper.nodes.node import Node, Update
from langgraph_cooper.nodes.offline.passive import (
    foreign_candidates,
    honest_candidates,
    passive_candidates,
)
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.prompts import PASSIVE


def passive_node(resources: Resources) -> Node:
    """Build the node that proposes the passive candidates, from the task's own topics.

    It asks no LLM: cue words are enough to recognise a greeting, thanks or a goodbye, and a small
    model reads a yes and a no. Where no LLM thinks for the agents either, a prepared answer of no
    aspect comes first, or an honest "I don't know" to a question that was not understood. A message
    in another language is told that English alone is understood.
    """

    def passive(state: Mapping[str, Any]) -> Update:
        history = utterances(state.get("messages", []))
        found = passive_candidates(resources.task, history)
        if resources.thinks_offline(current_context()):
            answers = resources.answers
            found = [*answers.candidates(PASSIVE, history), *found]
            if foreign := foreign_candidates(resources.task, history):
                found = foreign
            elif answers.unheard(history):
                found = [*honest_candidates(resources.task, history), *found]
        return {"passive": found}

    # In a thread for async callers: an answer is found by embeddings.
    return RunnableLambda(passive, name="passive")
