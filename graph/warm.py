"""Loads a graph's models before its first turn, which would wait for them otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph

from langgraph_cooper.graph.cooper import resources_of
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.crisis.reading import load_classifier, readers
from langgraph_cooper.nodes.errors import InputError
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.subjects.in_play import subjects_in_play
from langgraph_cooper.ranker.api import ScoredTopic
from langgraph_cooper.ranker.data.dialogue import Utterance

Graph = StateGraph[Any, Any, Any, Any] | CompiledStateGraph[Any, Any, Any, Any]

WORDS = "I lost my job."


def warm_up(graph: Graph) -> None:
    """Load what the first turn of a graph needs, and try it once.

    That is the ranker with its sentence encoder, the safety guard's two models, the decision
    model, the embeddings of the offline agents' topics and answers, the model that reads them,
    the fine-tuned generator where it speaks (whose first use takes a minute), and the clients of
    the language models. No model is asked anything.

    Args:
        graph: A graph of `create_cooper`, compiled or not, or a compiled graph around one.

    Raises:
        InputError: There is no COOPER in the graph.
        CooperError: Something cannot be loaded; the first turn that needs it would raise the same.
    """
    found = list(_all_resources(graph))
    if not found:
        raise InputError(
            "there is no COOPER to warm up in this graph: pass a graph of create_cooper, or a "
            "compiled graph that has one as a node"
        )
    for resources in found:
        _load(resources)


async def awarm_up(graph: Graph) -> None:
    """Load what the first turn of a graph needs in an OS thread. See `warm_up`."""
    await asyncio.to_thread(warm_up, graph)


def _all_resources(graph: Graph) -> Iterator[Resources]:
    if isinstance(graph, StateGraph):
        builders: list[Any] = [graph]
    else:
        inner = [graph, *(sub for _, sub in graph.get_subgraphs(recurse=True))]
        builders = [sub.builder for sub in inner if isinstance(sub, CompiledStateGraph)]
    for builder in builders:
        if resources := resources_of(builder):
            yield resources


def _load(resources: Resources) -> None:
    task, ranker = resources.task, resources.ranker()
    ranker.embed([WORDS])
    known = {name: ranker.progression(name, WORDS) for name in task.aspect_names}
    signals = {name: found.signal for name, found in known.items()}
    topics = [ScoredTopic(name, WORDS) for name in task.aspect_names]
    ranker.score([Utterance("user", WORDS)], topics, signals)
    if task.guard:
        load_classifier()
        readers(task.guard).first(WORDS)
    subjects_in_play(task.subjects, [Utterance("user", WORDS)])
    if resources.second:
        resources.second.prepare()
    _ = resources.answers.reader  # loads it
    context = CooperContext()
    backend = resources.backend(context)
    if resources.thinks_offline(context):
        said = [Utterance("user", WORDS)]
        for aspect in task.aspects:
            backend.promoter.invoke({"aspect": aspect, "history": said, "state": "", "m": task.m})
    resources.load_voice(context)
