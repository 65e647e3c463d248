"""The whole graph: specialised agents in parallel, a coordinator, a generator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langgraph.graph import END, START, StateGraph

from langgraph_cooper.graph.agent import create_agent
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.coordinator import coordinator_node
from langgraph_cooper.nodes.generator import generator_node
from langgraph_cooper.nodes.intake import intake_node
from langgraph_cooper.nodes.passive import passive_node
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.state import CooperInput, conversation_schema
from langgraph_cooper.prompts import PASSIVE, TaskSpec, load_task

if TYPE_CHECKING:
    from langgraph_cooper.ranker.inference import Ranker


def create_cooper(
    task: str | Path | TaskSpec = "esc",
    *,
    model: str | BaseChatModel | None = None,
    generator_model: str | BaseChatModel | None = None,
    ranker: str | Path | Ranker | None = None,
    encoder: str | None = None,
) -> StateGraph[Any, CooperContext, Any, Any]:
    """Creates a COOPER graph for a dialogue task.

    Args:
        task: A shipped task ("esc", "persuasion"), the path of a task file or folder of your own,
            or a `TaskSpec`.
        model: The chat model that tracks, promotes and speaks: a name for an OpenAI-compatible
            endpoint, or any LangChain chat model. If omitted, the offline backend does all three.
        generator_model: Another chat model (or "offline") for the generator alone. If omitted,
            the generator uses `model`.
        ranker: A checkpoint's folder or its name on the hub, or a ranker object. If omitted, the
            checkpoint shipped for the task; a task without one gets `UntrainedRanker`.
        encoder: The sentence encoder of the states: any sentence-transformers model. If omitted,
            the one that the checkpoint was trained with.

    Returns:
        An uncompiled graph. Compile it with a checkpointer to keep conversations:
        `create_cooper("esc").compile(checkpointer=InMemorySaver())`. Each run adds the next
        utterance to `messages`. `CooperContext` says what a run may choose for itself.

    Raises:
        TaskError: The task is unknown or its file is malformed.
        CheckpointError: The checkpoint is missing, or made for other aspects or another encoder.
        EncoderError: The encoder is unknown or its weights are not what they should be.
    """
    spec = load_task(task)
    resources = Resources(spec, model, generator_model, _ranker_loader(spec, ranker, encoder))
    graph = StateGraph(
        conversation_schema(spec), context_schema=CooperContext, input_schema=CooperInput
    )
    graph.add_node("intake", intake_node(spec))
    graph.add_edge(START, "intake")
    graph.add_node("coordinator", coordinator_node(resources))
    graph.add_node("generator", generator_node(resources))
    # One plain edge per branch joins them: each is one node of one superstep. (A list of sources
    # would wait for ever for a branch that took another way out.)
    for aspect in spec.aspects:
        # An agent is given what it reads and no more: whatever a subgraph gets is saved with it.
        agent = create_agent(aspect, resources)
        graph.add_node(aspect.name, agent.compile(), input_schema=agent.state_schema)
    graph.add_node(PASSIVE, passive_node(spec), input_schema=CooperInput)
    for name in (*spec.aspect_names, PASSIVE):
        graph.add_edge("intake", name)
        graph.add_edge(name, "coordinator")
    graph.add_edge("coordinator", "generator")
    graph.add_edge("generator", END)
    return graph


def _ranker_loader(
    task: TaskSpec, ranker: str | Path | Ranker | None, encoder: str | None
) -> Callable[[], Ranker]:
    """Checks now what can be checked without torch; loads later, in the first run."""
    from langgraph_cooper.ranker.select import ranker_loader

    if ranker is not None and not isinstance(ranker, str | Path):
        return lambda: ranker
    return ranker_loader(task, ranker, encoder)
