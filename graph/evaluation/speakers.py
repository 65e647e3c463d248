"""The systems that can be compared: COOPER's generators, and the paper's prompt baselines.

A further system is a function from its settings to a `Speaker`, registered in `MAKERS`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any, NamedTuple

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langgraph_cooper.graph.cooper import create_cooper
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.nodes.llm.baselines import BASELINES, llm_baseline
from langgraph_cooper.nodes.llm.models import chat_model, identity
from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.ranker.data.dialogue import DataError, Utterance

BANK, FINETUNED, PROMPTED = "bank", "finetuned", "prompted"
CARRIED = "guard"  # beside the agents' reports, from turn to turn


class Reply(NamedTuple):
    """A reply, and the aspect of the goal that the system put first, if it names one."""

    text: str
    aspect: str | None = None


Talk = Callable[[Sequence[Utterance]], Awaitable[Reply]]
"""Replies to the turns of one dialogue, in order: the history -> the reply."""


@dataclass(frozen=True)
class Speaker:
    """A system that replies.

    Attributes:
        name: Its name in the report.
        identity: Tells its replies from those of another system, model or task.
        talk: Begins a dialogue.
    """

    name: str
    identity: str
    talk: Callable[[], Talk]


class Settings(NamedTuple):
    """The choices of a system: its task, the chat model (None: offline) and a turn's limits."""

    task: TaskSpec
    model: BaseChatModel | None
    limits: CooperContext


def speakers(
    task: TaskSpec,
    names: Sequence[str],
    model: str | BaseChatModel | None,
    limits: CooperContext,
) -> dict[str, Speaker]:
    """Make systems by name.

    Args:
        task: The task.
        names: Names in `MAKERS`.
        model: The chat model of those that need one.
        limits: Has the deadline and the number of calls of each turn.

    Raises:
        DataError: A system is unknown, or needs a chat model and none is named.
        ModelError: The chat model cannot be set up.
    """
    for name in names:
        if name not in MAKERS:
            raise DataError(f"there is no system {name!r}: choose from {', '.join(MAKERS)}")
        if name in WITH_MODEL and model is None:
            raise DataError(f"the system {name!r} asks a chat model: name one with --model")
    chat = chat_model(model) if model and WITH_MODEL.intersection(names) else None
    return {name: MAKERS[name](name, Settings(task, chat, limits)) for name in names}


def _pipeline(name: str, settings: Settings, **options: Any) -> Speaker:
    """The whole of COOPER as a conversation uses it; nothing of the data's labels enters."""
    task, model, limits = settings
    graph = create_cooper(task, model=model, **options).compile()

    def begin() -> Talk:
        carried: dict[str, Any] = {}

        async def reply(history: Sequence[Utterance]) -> Reply:
            nonlocal carried
            if not history and task.opens == "user":
                # A conversation of this task begins with the user; a data set's may not.
                history = [Utterance("user", GREETING)]
            given = {"messages": messages_of(history), **carried}
            state = await graph.ainvoke(given, context=limits)
            _raise_faults(task, state)
            kept = [*task.aspect_names, CARRIED]
            carried = {key: state[key] for key in kept if key in state}
            ranking = state.get("ranking") or [{}]
            return Reply(state["messages"][-1].text, ranking[0].get("aspect"))

        return reply

    return Speaker(name, _identity(name, settings), begin)


GREETING = "Hello."
"""Stands for the user's first words where a dialogue of the data begins with the system."""


def _finetuned(name: str, settings: Settings) -> Speaker:
    """COOPER with the generator trained for the task (paper: FT-G)."""
    if "generator" not in signature(create_cooper).parameters:
        raise DataError(f"the system {name!r} needs a trained generator, which is not installed")
    return _pipeline(name, settings._replace(model=None), generator="finetuned")


def _raise_faults(task: TaskSpec, state: Mapping[str, Any]) -> None:
    """End the measurement on a fault: a reply that stands in for a model's is not the system's."""
    reports = [state.get(name) or {} for name in task.aspect_names]
    for fault in [f for r in [*reports, state["cooper"]] for f in r.get("faults", [])]:
        raise ModelError(fault["message"], fault["kind"])


def _baseline(name: str, settings: Settings) -> Speaker:
    """One of the paper's prompt baselines, which asks the chat model alone."""
    task, model, limits = settings
    assert model is not None
    step = llm_baseline(name, task, model, limits)

    async def reply(history: Sequence[Utterance]) -> Reply:
        said = await step.ainvoke([*history])
        return Reply(said.reply, said.aspect)

    return Speaker(name, _identity(name, settings), lambda: reply)


def _identity(name: str, settings: Settings) -> str:
    kind, model, url = identity(settings.model) if settings.model else (None, "", "")
    task = hashlib.sha256(settings.task.model_dump_json().encode()).hexdigest()
    return json.dumps([name, kind and f"{kind.__module__}.{kind.__qualname__}", model, url, task])


def messages_of(history: Sequence[Utterance]) -> list[BaseMessage]:
    """The history as a conversation's messages."""
    kinds: dict[str, type[BaseMessage]] = {"user": HumanMessage, "system": AIMessage}
    return [kinds[said.speaker](content=said.text) for said in history]


MAKERS: Mapping[str, Callable[[str, Settings], Speaker]] = {
    BANK: lambda name, settings: _pipeline(name, settings._replace(model=None)),
    FINETUNED: _finetuned,
    PROMPTED: _pipeline,
    **dict.fromkeys(BASELINES, _baseline),
}
"""Name -> what makes the system."""

WITH_MODEL = frozenset({PROMPTED, *BASELINES})
