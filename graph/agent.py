"""A specialised agent: tracker, promoter and progression analysis as one subgraph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.graph import END, START, StateGraph

from langgraph_cooper.nodes.candidates import report_of
from langgraph_cooper.nodes.context import CooperContext, current_context
from langgraph_cooper.nodes.events import (
    Stage,
    aemit,
    current_turn,
    emit,
    emitting_outside,
    stage_completed,
    stage_started,
    turn_of,
)
from langgraph_cooper.nodes.node import Node, Update
from langgraph_cooper.nodes.progression import progression_node
from langgraph_cooper.nodes.promoter import promoter_node
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.state import AspectReport, agent_schema, changed
from langgraph_cooper.nodes.tracker import tracker_node
from langgraph_cooper.prompts import AspectSpec

CHECKPOINTER = "__pregel_checkpointer"  # LangGraph's key of the saver that subgraphs inherit

_handed: ContextVar[Mapping[str, Any] | None] = ContextVar("handed", default=None)


def create_agent(
    aspect: AspectSpec, resources: Resources, *, analyse: bool = True
) -> StateGraph[Any, CooperContext, Any, Any]:
    """Build the agent A_i of one aspect T_i.

    Args:
        aspect: The aspect.
        resources: The task, the backends and the ranker that all nodes share.
        analyse: False leaves out the progression analysis, which needs target states.

    Returns:
        An uncompiled graph. It reads `messages` and its own report of the turn before, and writes
        its new report under the aspect's name.
    """
    working, report = agent_schema(aspect.name)
    graph = StateGraph(working, context_schema=CooperContext, output_schema=report)
    steps: dict[Stage, Node] = {"tracker": tracker_node(aspect, resources)}
    steps["promoter"] = promoter_node(aspect, resources)
    if analyse:
        steps["progression"] = progression_node(aspect, resources)
    before: str = START
    for name, node in steps.items():
        graph.add_node(name, _stage(aspect.name, name, node))
        graph.add_edge(before, name)
        before = name
    graph.add_edge(before, END)
    return graph


def agent_node(aspect: AspectSpec, resources: Resources) -> Node:
    """Build the node that runs an agent within a conversation's graph.

    LangGraph saves a subgraph's input and, with each of its steps, its state. The messages and the
    last report are in the conversation's checkpoint already, and a turn that is resumed begins the
    node from there: they are handed to the agent past its own state. Offline its steps are quick
    and give the same again, so that they are not saved one by one.
    """
    agent = create_agent(aspect, resources).compile()
    given: Update = {aspect.name: {}}

    def durability(config: RunnableConfig) -> Any:
        # LangGraph warns of a durability where nothing is saved.
        saved = config.get("configurable", {}).get(CHECKPOINTER) is not None
        return "exit" if saved and resources.thinks_offline(current_context()) else None

    def report(state: Mapping[str, Any], made: Mapping[str, Any]) -> Update:
        return {aspect.name: changed(_last_report(state, aspect.name), made[aspect.name])}

    def run(state: Mapping[str, Any], config: RunnableConfig) -> Update:
        with _handing(state):
            return report(state, agent.invoke(given, config, durability=durability(config)))

    async def arun(state: Mapping[str, Any], config: RunnableConfig) -> Update:
        with _handing(state):
            return report(state, await agent.ainvoke(given, config, durability=durability(config)))

    return RunnableLambda(run, afunc=arun, name=aspect.name)


@contextmanager
def _handing(state: Mapping[str, Any]) -> Iterator[None]:
    token = _handed.set(state)
    try:
        with emitting_outside(turn_of(state.get("messages", []))):
            yield
    finally:
        _handed.reset(token)


def _stage(aspect: str, stage: Stage, node: Node) -> Node:
    """Build a stage: tells its beginning and its result, and is shown what the agent was handed."""

    def view(state: Mapping[str, Any]) -> tuple[Update, str]:
        handed = _handed.get() or {}
        made: AspectReport = state.get(aspect, {})
        whole = {**handed, **state, aspect: changed(_last_report(handed, aspect), made)}
        return whole, current_turn(whole.get("messages", []))

    def run(state: Mapping[str, Any], config: RunnableConfig) -> Update:
        whole, turn = view(state)
        emit([stage_started(turn, aspect, stage)], config)
        update = node.invoke(whole, config)
        emit(stage_completed(turn, aspect, stage, update[aspect]), config)
        return update

    async def arun(state: Mapping[str, Any], config: RunnableConfig) -> Update:
        whole, turn = view(state)
        await aemit([stage_started(turn, aspect, stage)], config)
        update = await node.ainvoke(whole, config)
        await aemit(stage_completed(turn, aspect, stage, update[aspect]), config)
        return update

    return RunnableLambda(run, afunc=arun, name="stage")


def _last_report(state: Mapping[str, Any], aspect: str) -> AspectReport:
    """Return an agent's last report, without fields of earlier versions (the signal).

    Raises:
        InputError: A person edited it, and it cannot be read. Intake lets it pass: the guard reads
            the message first.
    """
    fields = report_of(state, aspect)
    return {k: v for k, v in fields.items() if k in AspectReport.__annotations__}  # type: ignore[return-value]
