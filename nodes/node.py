"""Builds graph nodes that work sync and async, and handles the faults of their Runnables.

A fault that a person must mend ends the turn, unless a crisis is feared; after any other one the
node falls back on something else and reports it. LangGraph's `error_handler` is not used for this:
its handlers are nodes of their own, which dangle without edges in every drawing of the graph.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.runnables.config import run_in_executor
from langgraph.errors import GraphBubbleUp

from langgraph_cooper.nodes.errors import FaultKind, ModelError
from langgraph_cooper.nodes.llm.faults import SECRET
from langgraph_cooper.nodes.state import Fault
from langgraph_cooper.prompts import CooperError

Update = dict[str, Any]
Node = Runnable[Any, Update]
Call = tuple[Runnable[Any, Any], Any]
OnFault = Callable[[Mapping[str, Any], Fault, RunnableConfig], Update]

MOST_LOGGED = 300  # characters of a foreign error

LOG = logging.getLogger(__name__)


def quick_node(name: str, compute: Callable[..., Update]) -> Node:
    """Build a node that only computes: async callers run it at once, without a thread."""

    @functools.wraps(compute)
    async def acompute(*args: Any, **kwargs: Any) -> Update:
        return compute(*args, **kwargs)

    return RunnableLambda(compute, afunc=acompute, name=name)


def calling_node(
    name: str,
    prepare: Callable[[Mapping[str, Any]], Call],
    finish: Callable[[Mapping[str, Any], Any], Update],
    on_fault: OnFault,
) -> Node:
    """Build a node that calls a Runnable.

    It is sync and async: a sync node would hold a thread while an LLM answers, and an async one
    cannot be invoked from sync code.

    Args:
        name: The node's name.
        prepare: Gives, for the state, the Runnable and its input.
        finish: Gives, for the state and the Runnable's output, the update of the state.
        on_fault: Gives, for the state and the fault, the update after a fault.
    """

    def run(state: Mapping[str, Any], config: RunnableConfig) -> Update:
        try:
            runnable, given = prepare(state)
            return finish(state, runnable.invoke(given, config))
        except Exception as error:
            fault = fault_of(name, error, feared=_feared(state))
        return on_fault(state, fault, config)

    async def arun(state: Mapping[str, Any], config: RunnableConfig) -> Update:
        try:
            runnable, given = prepare(state)
            return finish(state, await runnable.ainvoke(given, config))
        except Exception as error:
            fault = fault_of(name, error, feared=_feared(state))
        # In a thread: the fallback may compute embeddings.
        return await run_in_executor(config, on_fault, state, fault, config)

    return RunnableLambda(run, afunc=arun, name=name)


def fault_of(step: str, error: Exception, *, feared: bool = False) -> Fault:
    """Describe the error of a step after which the turn goes on.

    Args:
        step: The step's name.
        error: Its error.
        feared: Whether a crisis is feared. Then the turn goes on after every `ModelError`: its
            question about safety needs no model.

    Raises:
        Exception: The error itself, if the turn must end with it: a person has to mend it
            first (any `CooperError` but a passing `ModelError`), or LangGraph interrupts with it.
    """
    passing = isinstance(error, ModelError) and (error.passing or feared)
    if isinstance(error, GraphBubbleUp) or (isinstance(error, CooperError) and not passing):
        raise error
    kind: FaultKind = "internal"
    # The message of a foreign error may hold a key: what looks like one is left out of the log.
    message = f"it failed with {type(error).__name__}; the log says more"
    if isinstance(error, ModelError):
        kind, message = error.kind, str(error)
    elif isinstance(error, TimeoutError):
        kind, message = "timeout", "it did not answer in time"
    else:
        told = SECRET.sub("…", " ".join(str(error).split()))[:MOST_LOGGED]
        LOG.warning(
            "the %s failed, and the turn goes on (%s: %s)", step, type(error).__name__, told
        )
        LOG.debug("the %s failed", step, exc_info=error)
    return Fault(step=step, kind=kind, message=message)


def _feared(state: Mapping[str, Any]) -> bool:
    """Return whether the guard fears a crisis, so that the reply must ask about safety."""
    return (state.get("guard") or {}).get("tier") == "concern"
