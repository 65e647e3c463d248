"""Making a graph node out of a backend's Runnable: one definition, sync and async.

What a node does when its Runnable fails is defined here too, once for all nodes: a fault that a
person must mend ends the turn, for every other one something stands in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.runnables.config import run_in_executor
from langgraph.errors import GraphBubbleUp

from langgraph_cooper.nodes.errors import FaultKind, ModelError
from langgraph_cooper.nodes.state import Fault
from langgraph_cooper.prompts import CooperError

Update = dict[str, Any]
Node = Runnable[Any, Update]
Call = tuple[Runnable[Any, Any], Any]
Instead = Callable[[Mapping[str, Any], Fault, RunnableConfig], Update]

LOG = logging.getLogger(__name__)


def calling_node(
    name: str,
    prepare: Callable[[Mapping[str, Any]], Call],
    finish: Callable[[Mapping[str, Any], Any], Update],
    instead: Instead,
) -> Node:
    """Builds a node that asks a Runnable something.

    A node that is only sync holds a thread while an LLM thinks, one that is only async cannot be
    invoked from sync code: this one is both.

    Args:
        name: The node's name.
        prepare: From the state, which Runnable to call and with what.
        finish: From the state and what the Runnable gave, the update of the state.
        instead: From the state and the fault, the update where there was one.
    """

    def run(state: Mapping[str, Any], config: RunnableConfig) -> Update:
        try:
            runnable, given = prepare(state)
            return finish(state, runnable.invoke(given, config))
        except Exception as error:
            return instead(state, fault_of(name, error), config)

    async def arun(state: Mapping[str, Any], config: RunnableConfig) -> Update:
        try:
            runnable, given = prepare(state)
            return finish(state, await runnable.ainvoke(given, config))
        except Exception as error:
            fault = fault_of(name, error)
        # In a thread: what stands in may compute embeddings.
        return await run_in_executor(config, instead, state, fault, config)

    return RunnableLambda(run, afunc=arun, name=name)


def fault_of(step: str, error: Exception) -> Fault:
    """Tells what went wrong in a step that something can stand in for.

    Raises:
        Exception: The error itself, if the turn must end with it: a person has to mend it
            first (a `CooperError` other than a `ModelError` that may pass), or it is LangGraph's
            way to interrupt.
    """
    passing = isinstance(error, ModelError) and error.passing
    if isinstance(error, GraphBubbleUp) or (isinstance(error, CooperError) and not passing):
        raise error
    kind: FaultKind = "internal"
    # The words of an error from elsewhere may hold anything, a key too: they are only logged.
    message = f"it failed with {type(error).__name__}"
    if isinstance(error, ModelError):
        kind, message = error.kind, str(error)
    elif isinstance(error, TimeoutError):
        kind, message = "timeout", "it did not answer in time"
    else:
        LOG.debug("the %s failed; something stands in", step, exc_info=error)
    return Fault(step=step, kind=kind, message=message)
