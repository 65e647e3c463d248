"""The agents that annotate a dialogue (paper, "Training").

They are the nodes of a conversation, so that a ranker is trained on what it meets in use. In a
conversation a fallback replaces a failed step; here a fault ends the annotation, since a fallback
is nothing to learn from.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from langgraph_cooper.graph.agent import create_agent
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.coordinator import gather
from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.nodes.passive import passive_node
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.state import conversation_schema
from langgraph_cooper.nodes.tracker import tracker_node
from langgraph_cooper.prompts import PASSIVE, TaskSpec
from langgraph_cooper.ranker.data.dialogue import (
    AnnotatedDialogue,
    AnnotatedTurn,
    Candidate,
    Dialogue,
)

_Graph = CompiledStateGraph[Any, CooperContext, Any, Any]


class Annotator(NamedTuple):
    """The agents' graphs.

    Attributes:
        turn: Annotates one turn. The agents have no progression analysis, which needs target
            states; these are found in the annotation.
        end: Tracks the final states at the end of a dialogue.
    """

    turn: _Graph
    end: _Graph


def create_annotator(resources: Resources) -> Annotator:
    """Build the graphs that annotate."""
    task = resources.task
    turn = StateGraph(conversation_schema(task), context_schema=CooperContext)
    end = StateGraph(conversation_schema(task), context_schema=CooperContext)
    for aspect in task.aspects:
        turn.add_node(aspect.name, create_agent(aspect, resources, analyse=False).compile())
        turn.add_edge(START, aspect.name)
        end.add_node(aspect.name, tracker_node(aspect, resources))
        end.add_edge(START, aspect.name)
    turn.add_node(PASSIVE, passive_node(resources))
    turn.add_edge(START, PASSIVE)
    return Annotator(turn.compile(), end.compile())


async def annotate_dialogue(
    annotator: Annotator,
    task: TaskSpec,
    dialogue: Dialogue,
    context: CooperContext | None = None,
) -> tuple[AnnotatedDialogue, int]:
    """Run the agents before every system utterance of a dialogue, and the trackers at its end.

    Args:
        annotator: The agents.
        task: Their task.
        dialogue: The dialogue to annotate.
        context: The context of every turn.

    Returns:
        The annotated dialogue, and how many of its candidates are the bank's. The passive
        candidates, which always are, do not count.

    Raises:
        ModelError: An agent failed.
    """
    messages = as_messages(dialogue)
    state: dict[str, Any] = {}
    turns, from_bank = [], 0
    for index in dialogue.system_turns:
        state = await _run(annotator.turn, task, {**state, "messages": messages[:index]}, context)
        gathered = await asyncio.to_thread(gather, task, state)
        candidates = tuple(
            Candidate(aspect=aspect, strategy=candidate["strategy"], topic=candidate["topic"])
            for aspect, candidate in gathered
        )
        turns.append(AnnotatedTurn(index=index, states=_states(task, state), candidates=candidates))
        from_bank += sum(a != PASSIVE and c["source"] == "bank" for a, c in gathered)
    state = await _run(annotator.end, task, {**state, "messages": messages}, context)
    annotated = AnnotatedDialogue(
        id=dialogue.id,
        utterances=dialogue.utterances,
        turns=tuple(turns),
        final_states=_states(task, state),
    )
    return annotated, from_bank


def as_messages(dialogue: Dialogue) -> list[BaseMessage]:
    """The utterances as a conversation's messages."""
    kinds: dict[str, type[BaseMessage]] = {"user": HumanMessage, "system": AIMessage}
    return [kinds[said.speaker](content=said.text) for said in dialogue.utterances]


async def _run(
    graph: _Graph, task: TaskSpec, state: dict[str, Any], context: CooperContext | None
) -> dict[str, Any]:
    """Run the agents and return their state; raise the first fault."""
    state = await graph.ainvoke(state, context=context)
    for name in task.aspect_names:
        for fault in state[name].get("faults", []):
            raise ModelError(fault["message"], fault["kind"])
    return state


def _states(task: TaskSpec, state: dict[str, Any]) -> dict[str, str]:
    return {name: state[name]["state"] for name in task.aspect_names}
