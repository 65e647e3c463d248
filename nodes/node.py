"""Making a graph node out of a backend's Runnable: one definition, sync and async."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

Update = dict[str, Any]
Node = Runnable[Any, Update]
Call = tuple[Runnable[Any, Any], Any]


def calling_node(
    name: str,
    prepare: Callable[[Mapping[str, Any]], Call],
    finish: Callable[[Mapping[str, Any], Any], Update],
) -> Node:
    """Builds a node that asks a Runnable something.

    A node that is only sync holds a thread while an LLM thinks, one that is only async cannot be
    invoked from sync code: this one is both.

    Args:
        name: The node's name.
        prepare: From the state, which Runnable to call and with what.
        finish: From the state and what the Runnable gave, the update of the state.
    """

    def run(state: Mapping[str, Any], config: RunnableConfig) -> Update:
        runnable, given = prepare(state)
        return finish(state, runnable.invoke(given, config))

    async def arun(state: Mapping[str, Any], config: RunnableConfig) -> Update:
        runnable, given = prepare(state)
        return finish(state, await runnable.ainvoke(given, config))

    return RunnableLambda(run, afunc=arun, name=name)
