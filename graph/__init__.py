"""COOPER as a LangGraph graph; `dir()` lists its public names.

`langgraph_cooper.graph.api` is imported when a name is first asked for: the command line is in this
package too, and must start, and be interruptible, before LangGraph is imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langgraph_cooper.graph.api import *  # noqa: F403


def __getattr__(name: str) -> Any:
    if name.startswith("__") and name != "__all__":
        raise AttributeError(name)
    return getattr(import_module("langgraph_cooper.graph.api"), name)


def __dir__() -> list[str]:
    return [*globals(), *__getattr__("__all__")]
