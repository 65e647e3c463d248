"""COOPER for clients that speak AG-UI, such as CopilotKit and assistant-ui (docs/agui.md).

The agent is one of `ag-ui-langgraph`, so that it goes wherever that package's agents go. Its turns
are those of `Turns`: in order, in the thread's lock, each message answered once. What a client is
told comes from their events, which hold no prompt, no thought and no draft.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command
from pydantic_core import to_jsonable_python

from langgraph_cooper.graph.threads.ids import check_thread_id
from langgraph_cooper.graph.threads.turns import Turns
from langgraph_cooper.nodes.errors import InputError
from langgraph_cooper.nodes.events import NAME, AgentEvent, Event, ReplyEvent, Token, as_event
from langgraph_cooper.prompts import CooperError
from langgraph_cooper.prompts.extras import install

try:
    import ag_ui.core as agui
    from ag_ui_langgraph import LangGraphAgent
    from ag_ui_langgraph.utils import agui_messages_to_langchain
except ImportError as missing:
    raise CooperError(f"AG-UI needs {missing.name}: {install('agui')}") from missing

if TYPE_CHECKING:
    from ag_ui.core import RunAgentInput

ACTIVITY = "cooper.agent"
"""The type of the activity messages: one per agent and turn."""

LAST_NODES = ("reply_guard", "generator")

_log = logging.getLogger(__name__)


def agent(
    turns: Turns,
    *,
    name: str = "cooper",
    description: str | None = None,
    context: Any = None,
    config: RunnableConfig | None = None,
    decisions: bool = False,
) -> CooperAgent:
    """Return an agent for ag-ui-langgraph's FastAPI endpoint, or for a route of your own.

    Args:
        turns: Runs the turns. Without a `wait` a second client waits as long as the first one's
            turn takes.
        name: The agent's name for its clients.
        description: A sentence on it for its clients.
        context: The options of every run, such as a `CooperContext`. Clients choose none.
        config: The configuration of every run, such as callbacks and tags.
        decisions: Whether clients may resume from an interrupt. Whoever may can lift a `review` of
            the safety guard: give such an agent to the people who review, and to nobody else.
    """
    graph = _Graph(turns, context, config)
    return CooperAgent(name=name, graph=graph, description=description, decisions=decisions)


class CooperAgent(LangGraphAgent):  # type: ignore[misc]
    """An agent of `ag-ui-langgraph` whose runs are turns of `Turns`. Make it with `agent`."""

    graph: _Graph

    def __init__(
        self,
        *,
        name: str,
        graph: _Graph,
        description: str | None = None,
        owner: str | None = None,
        decisions: bool = False,
    ) -> None:
        super().__init__(name=name, graph=graph, description=description, emit_raw_events=False)
        self._owner, self._decisions = owner, decisions

    def clone(self) -> CooperAgent:
        """Return a copy for one run."""
        return self.owned_by(self._owner)

    def owned_by(self, owner: str | None) -> CooperAgent:
        """Return an agent that sees an owner's threads alone, whatever ids a client makes up.

        Args:
            owner: Who the request is from, by your own authentication. Without a colon.
        """
        if owner is not None and (":" in owner or not owner):
            raise InputError(f"the owner {owner!r} cannot be used: give a name without a colon")
        graph = self.graph.copy()
        return type(self)(
            name=self.name,
            graph=graph,
            description=self.description,
            owner=owner,
            decisions=self._decisions,
        )

    async def run(self, input: RunAgentInput) -> AsyncGenerator[Any, None]:
        """Run a turn and yield it as AG-UI events.

        Messages alone are taken from the client, and decisions from one that may decide. Its copy
        of the state, its tools and its context are not: they could change the guard's.
        """
        thread = input.thread_id if self._owner is None else f"{self._owner}:{input.thread_id}"
        try:
            check_thread_id(thread)
            given = _messages_alone(input, thread, self._decisions)
            _check_encodable(given)
        except InputError as error:
            ids = _encodable(input.thread_id), _encodable(input.run_id)
            yield agui.RunStartedEvent(thread_id=ids[0], run_id=ids[1])
            yield agui.RunErrorEvent(message=str(error))
            return
        self.graph.heard = given.messages
        told = _Translation(self._kept)
        async with aclosing(super().run(given)) as events:
            async for event in events:
                if event.type in (agui.EventType.RUN_STARTED, agui.EventType.RUN_FINISHED):
                    event.thread_id = input.thread_id
                if event.type == agui.EventType.RUN_ERROR and event.message != self.graph.error:
                    # Of a database, say: it may name what is not a client's business.
                    event.message = "the run failed; the server's log says more"
                heard = as_event(event.value) if event.type == agui.EventType.CUSTOM else None
                if heard:
                    async for one in told.tell(heard):
                        yield one
                else:
                    for one in told.pass_on(event):
                        yield one

    async def prepare_regenerate_stream(
        self, input: RunAgentInput, message_checkpoint: HumanMessage, config: RunnableConfig
    ) -> Any:
        """Return a stream of the turn on the thread as it is, where the package would fork it.

        The package forks for a message that is known with other words: what was said after it,
        and with it the safety guard's state, would be gone.
        """
        known = await self.graph.aget_state(config)
        stream = self.graph.astream_events(None, config)
        return {"stream": stream, "state": known.values, "config": config}

    def get_state_snapshot(self, state: Any) -> Any:
        """Return what clients see of the state. The messages have an event of their own."""
        shown = super().get_state_snapshot(state)
        return {key: value for key, value in shown.items() if key != "messages"}

    async def _kept(self) -> Any:
        """Return an event of the messages as they are in the thread."""
        run: Any = self.active_run
        config = {"configurable": {"thread_id": run["thread_id"]}}
        found = [event async for event in self.get_state_and_messages_snapshots(config)]
        return found[-1]


class _Translation:
    """Tells a turn's events as AG-UI's: text, a step per stage of an agent, an activity per agent.

    Args:
        kept: Returns an event of the messages as they are in the thread.
    """

    def __init__(self, kept: Callable[[], Awaitable[Any]]) -> None:
        self._kept = kept
        self._steps: list[str] = []
        self._text: str | None = None  # the id of the message that is being told
        self._activities: dict[str, dict[str, Any]] = {}

    async def tell(self, event: Event) -> AsyncIterator[Any]:
        """Yield what an event of the turn is in AG-UI."""
        if isinstance(event, Token):
            async for one in self._words(event):
                yield one
            return
        if isinstance(event, AgentEvent):
            for one in self._stage(event):
                yield one
        if isinstance(event, ReplyEvent):
            for one in self._end_text():
                yield one
        yield agui.CustomEvent(name=NAME, value=event.as_dict())

    def pass_on(self, event: Any) -> Iterator[Any]:
        """Yield another event; the end of a run comes after the ends of all that it began."""
        if event.type in (agui.EventType.RUN_FINISHED, agui.EventType.RUN_ERROR):
            yield from self._end_text()
            for step in self._steps:
                yield agui.StepFinishedEvent(step_name=step)
        yield event

    async def _words(self, token: Token) -> AsyncIterator[Any]:
        message = f"{token.turn}:{token.attempt}"
        if message != self._text:
            if self._text:  # the client forgets what other words take the place of
                for one in self._end_text():
                    yield one
                yield await self._kept()
            self._text = message
            yield agui.TextMessageStartEvent(message_id=message, role="assistant")
        yield agui.TextMessageContentEvent(message_id=message, delta=token.text)

    def _end_text(self) -> Iterator[Any]:
        if self._text:
            yield agui.TextMessageEndEvent(message_id=self._text)
            self._text = None

    def _stage(self, event: AgentEvent) -> Iterator[Any]:
        step = f"{event.aspect}:{event.stage}"
        if event.status == "started" and step not in self._steps:
            self._steps.append(step)
            yield agui.StepStartedEvent(step_name=step)
        shown = self._activities.setdefault(event.aspect, {"aspect": event.aspect})
        shown |= {"stage": event.stage, "status": event.status}
        if event.text:
            shown["summary" if event.stage == "tracker" else "target"] = event.text
        if event.progress is not None:
            shown["progress"] = event.progress
        if event.candidates:
            topics = [candidate.model_dump() for candidate in event.candidates]
            shown["candidates"] = [*shown.get("candidates", [])] * (event.part > 1) + topics
        yield agui.ActivitySnapshotEvent(
            message_id=f"{event.turn}:{event.aspect}",
            activity_type=ACTIVITY,
            content=dict(shown),
            replace=True,
        )
        if event.status == "completed" and event.part == event.parts and step in self._steps:
            self._steps.remove(step)
            yield agui.StepFinishedEvent(step_name=step)


def _messages_alone(given: RunAgentInput, thread: str, decisions: bool) -> RunAgentInput:
    props = given.forwarded_props if isinstance(given.forwarded_props, Mapping) else {}
    kept = {key: value for key, value in props.items() if decisions and key == "command"}
    nothing: dict[str, Any] = {"state": {}, "tools": [], "context": [], "forwarded_props": kept}
    if not decisions:
        nothing["resume"] = None
    return given.model_copy(update={**nothing, "thread_id": thread})


def _encodable(text: str) -> str:
    """Return a text with a sign in place of what UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode()


def _check_encodable(given: RunAgentInput) -> None:
    """Refuse halves of surrogate pairs: neither a saver nor an event can hold them.

    Raises:
        InputError: An id, a message or a decision has one.
    """
    messages = {f"message {n}": one for n, one in enumerate(given.messages, start=1)}
    decision = [given.resume, given.forwarded_props]
    parts: dict[str, Any] = {"run's id": given.run_id, **messages, "decision": decision}
    for name, part in parts.items():
        if _encodable(text := json.dumps(to_jsonable_python(part), ensure_ascii=False)) != text:
            raise InputError(
                f"the {name} holds half of a character (a lone surrogate): send whole characters"
            )


class _Graph:
    """The graph as `LangGraphAgent` runs it: through `Turns`.

    Args:
        turns: Runs the turns.
        context: The options of every run.
        config: The configuration of every run.

    Attributes:
        heard: The client's messages, in AG-UI's form.
        error: Why the turn failed, in words for the client.
    """

    def __init__(self, turns: Turns, context: Any, config: RunnableConfig | None) -> None:
        self._turns, self._context, self._config = turns, context, config
        self.heard: list[Any] = []
        self.error: str | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._turns.graph, name)

    def copy(self) -> _Graph:
        """Return a copy for one run."""
        return _Graph(self._turns, self._context, self._config)

    def get_config_jsonschema(self) -> dict[str, Any]:
        """Return that clients configure nothing; LangGraph's own warns that it is deprecated."""
        return {}

    async def aupdate_state(self, config: RunnableConfig, *args: Any, **options: Any) -> Any:
        """Change a thread's state between two turns."""
        async with self._turns.aholding(config["configurable"]["thread_id"]):
            return await self._turns.graph.aupdate_state(config, *args, **options)

    async def astream_events(
        self, input: Any, config: RunnableConfig, **_: Any
    ) -> AsyncIterator[dict[str, Any]]:
        """Run a turn; yield its events as LangChain's custom events, and how it failed."""
        thread = config["configurable"]["thread_id"]
        try:
            message = input
            if not isinstance(input, Command):
                heard = agui_messages_to_langchain(self.heard)
                message = next((m for m in reversed(heard) if isinstance(m, HumanMessage)), None)
                if message:
                    await self._import(thread, heard[: heard.index(message)])
            events = self._turns.aevents(
                thread,
                message,
                context=self._context,
                config=self._config,
                subgraphs=True,
            )
            async with aclosing(events):
                async for event in events:
                    yield {"event": "on_custom_event", "name": NAME, "data": event.as_dict()}
        except CooperError as error:
            self.error = str(error)
        except Exception as error:
            _log.exception("a turn failed")
            self.error = f"the turn failed with {type(error).__name__}"
        if self.error:
            yield {"event": "error", "data": {"message": self.error}}

    async def _import(self, thread: str, earlier: list[BaseMessage]) -> None:
        """Write a conversation that a client brings along into a thread that is empty."""
        node = next((node for node in LAST_NODES if node in self._turns.graph.nodes), None)
        config: RunnableConfig = {"configurable": {"thread_id": thread}}
        if not (earlier and node):
            return
        async with self._turns.aholding(thread):
            known = await self._turns.graph.aget_state(config)
            if not known.values.get("messages"):
                await self._turns.graph.aupdate_state(config, {"messages": earlier}, as_node=node)
