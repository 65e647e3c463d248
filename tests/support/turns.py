"""Turns against the loopback endpoint, in the four ways to run a graph, and their outcomes."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph.state import CompiledStateGraph

from langgraph_cooper.graph import CooperContext, create_cooper
from langgraph_cooper.nodes import ModelError
from tests.support.openai_server import Reply, Request, obey
from tests.support.rankers import FakeRanker

Graph = CompiledStateGraph[Any, CooperContext, Any, Any]
WAYS = ("invoke", "ainvoke", "stream", "astream")
THREAD: RunnableConfig = {"configurable": {"thread_id": "one"}}
SAID = "I lost my job and I feel lost."
SPOKEN = "I hear you, and I am glad you told me."  # what a sensible model's generator says


def cooper(**choices: Any) -> Graph:
    """Return COOPER with a cheap ranker, kept in memory."""
    ranker = FakeRanker(prefer=lambda candidate: float(candidate.aspect == "action"))
    return create_cooper("esc", ranker=ranker, **choices).compile(checkpointer=InMemorySaver())


def only(key: str, *replies: Reply) -> Callable[[Request], Reply]:
    """Answer one module ("generator", "tracker:action") with these, and then with the last.

    All other modules get the answers of an obedient model.
    """
    waiting = list(replies)

    def reply(request: Request) -> Reply:
        if key not in (request.asked.key, request.asked.role):
            return obey(request)
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    return reply


async def done(answer: Any) -> Any:
    """Return the result of a call, sync or async."""
    return await answer if inspect.isawaitable(answer) else answer


@dataclass
class Turn:
    """The outcome of a turn."""

    state: dict[str, Any]
    error: ModelError | None
    seconds: float
    tokens: list[str] = field(default_factory=list)

    @property
    def messages(self) -> list[str]:
        """The texts in the thread."""
        return [message.text for message in self.state["messages"]]

    @property
    def faults(self) -> set[str]:
        """The kinds of this turn's faults."""
        reports = [self.state["cooper"], *(v for v in self.state.values() if isinstance(v, dict))]
        return {fault["kind"] for report in reports for fault in report.get("faults", [])}

    @property
    def reply(self) -> str | None:
        """The answer, if there is one."""
        last = self.state["messages"][-1]
        return last.text if last.type == "ai" else None


async def turn(
    graph: Graph, way: str = "invoke", said: str = SAID, *, again: bool = False, **choices: Any
) -> Turn:
    """Run a turn; keep a ModelError that it raises.

    Args:
        graph: A graph of `cooper`.
        way: One of `WAYS`; the streams are of messages, through subgraphs.
        said: The user's message.
        again: Resume the turn that failed, without a new message.
        choices: Fields of the context.
    """
    given = None if again else {"messages": [HumanMessage(said)]}
    # Tokens as they come: a guarded task's reply would be held until it was checked.
    context = CooperContext(**{"hold_reply": False, **choices})
    how: dict[str, Any] = {"context": context, "durability": "sync"}
    if "stream" in way:
        how |= {"stream_mode": "messages", "subgraphs": True, "version": "v2"}
    error, tokens, began = None, [], time.monotonic()
    try:
        running = getattr(graph, way)(given, THREAD, **how)
        if way == "stream":
            for part in running:  # one by one: those before a fault count too
                tokens.append(_token(part))
        elif way == "astream":
            async for part in running:
                tokens.append(_token(part))
        else:
            await done(running)
    except ModelError as raised:
        error = raised
    seconds = time.monotonic() - began
    state = graph.get_state(THREAD).values
    return Turn(state, error, seconds, [token for token in tokens if token])


def _token(part: dict[str, Any]) -> str:
    message = part["data"][0]
    return message.text if isinstance(message, AIMessageChunk) else ""
