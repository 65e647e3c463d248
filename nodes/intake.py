"""The intake node: checks a turn's input before any agent works on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AnyMessage, BaseMessage

from langgraph_cooper.nodes.allowed import Allowed
from langgraph_cooper.nodes.context import CooperContext, check_context, current_context
from langgraph_cooper.nodes.errors import InputError
from langgraph_cooper.nodes.language.history import (
    MAX_CHARACTERS,
    clean,
    speaker_of,
    text_of,
    too_long,
    utterances,
)
from langgraph_cooper.nodes.node import Node, Update, quick_node
from langgraph_cooper.nodes.state import TurnInfo
from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.ranker.data.dialogue import dialogue_round


def check_text(text: str) -> str:
    """Return the cleaned text of a message that can be answered.

    Raises:
        InputError: The message is empty or too long.
    """
    if too_long(text):
        raise InputError(
            f"the message has {len(text.strip()):,} characters, more than the {MAX_CHARACTERS:,} "
            "that are read: shorten it, or send it in parts"
        )
    if not (cleaned := clean(text)):
        raise InputError("the message is empty: write something to answer")
    return cleaned


def intake_node(
    task: TaskSpec,
    allowed: Allowed | None = None,
    check: Callable[[CooperContext], None] | None = None,
) -> Node:
    """Build the node that checks a turn's input and notes its round.

    It raises `InputError` if there is nothing to answer, if the message is too long, on a thread
    that belongs to another task, and if the run may not choose what its context names.

    Args:
        task: The task.
        allowed: What a run may choose; None: anything.
        check: Refuses models that cannot be set up, before all agents meet the same mistake. None
            in a guarded task, where the guard comes first: it needs no model.
    """

    def intake(state: Mapping[str, Any]) -> Update:
        if allowed:  # LangGraph checks no context that is an object already
            check_context()
            allowed.check(current_context(), task)
        before = (state.get("cooper") or {}).get("task")
        if before and before != task.name:
            raise InputError(
                f"this thread belongs to the task {before!r}, not to {task.name!r}: continue it "
                "with that task, or begin another thread"
            )
        messages: Sequence[AnyMessage] = state.get("messages", [])
        _check_turn(task, messages)
        if check:
            check(current_context())
        info = TurnInfo(task=task.name, round=dialogue_round(utterances(messages)))
        return {"cooper": info, **_without_faults(task, state)}

    return quick_node("intake", intake)


def _without_faults(task: TaskSpec, state: Mapping[str, Any]) -> Update:
    """Return the reports that list faults of the last turn, with the faults removed.

    A report that cannot be read is left to its agent, which refuses it: the guard comes first.
    """
    found = {name: state.get(name) for name in task.aspect_names}
    reports = {name: report for name, report in found.items() if isinstance(report, Mapping)}
    return {name: {**r, "faults": []} for name, r in reports.items() if r.get("faults")}


def _check_turn(task: TaskSpec, messages: Sequence[BaseMessage]) -> None:
    spoken = [message for message in messages if speaker_of(message)]
    if not spoken:
        if task.opens == "user":
            raise InputError(
                f"in the task {task.name!r} the {task.user_role} speaks first: send a user message"
            )
        return
    if speaker_of(spoken[-1]) == "system":
        raise InputError(
            f"the last message is the {task.system_role}'s own: send a user message to answer"
        )
    # In a guarded task the guard refuses a long message, after reading it.
    text = text_of(spoken[-1])
    check_text(text[:MAX_CHARACTERS] if task.guard else text)
