"""The node that reads the user's messages before any agent does, and answers a certain crisis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.runnables.config import run_in_executor

from langgraph_cooper.nodes.context import NESTED, current_context
from langgraph_cooper.nodes.crisis.course import Reader, ToRead
from langgraph_cooper.nodes.crisis.reading import Readers, readers
from langgraph_cooper.nodes.events import emit, fault_event, help_event, reply_event, turn_of
from langgraph_cooper.nodes.guard.conversation import course_of, last_turn
from langgraph_cooper.nodes.guard.help import MARK, help_lines, help_text, pinned_text
from langgraph_cooper.nodes.guard.manner import Manner
from langgraph_cooper.nodes.guard.memory import check_own, known_of, remembered, saved
from langgraph_cooper.nodes.intake import check_text
from langgraph_cooper.nodes.language.history import speaker_of, text_of, utterances
from langgraph_cooper.nodes.node import Node, Update
from langgraph_cooper.nodes.second_reader import NONE, Opinions, SecondReader
from langgraph_cooper.nodes.state import Fault, GuardState, with_fault
from langgraph_cooper.prompts import GuardSettings, TaskSpec
from langgraph_cooper.ranker.data.dialogue import dialogue_round


def guard_node(
    task: TaskSpec, read: Reader | None = None, second: SecondReader | None = None
) -> Node:
    """Build the node that reads the user's messages before any agent does.

    In a certain crisis it answers, and goes on to answer until the user says that they are safe
    (not if the guard is strict) or a person lifts it (`released`, or the review).

    Args:
        task: The task.
        read: Finds what one message shows, in place of the readers for the task's settings.
        second: Reads what the first reader is not certain of. If it fails, the first reader's
            finding counts.
    """
    settings = task.guard or GuardSettings()
    own = Readers(read, read) if read else readers(settings)

    def guard(
        state: Mapping[str, Any], config: RunnableConfig, opinions: Opinions = NONE
    ) -> Update:
        messages: Sequence[AnyMessage] = state.get("messages", [])
        context, known = current_context(), known_of(state)
        informed = Readers(*(opinions.over(each) for each in own))
        manner = Manner.chosen(context, settings)
        course = course_of(messages, known, informed, manner)
        now: GuardState = {**known, **saved(course, messages), "fired": course.tier == "certain"}
        if known.get("tier") == "certain" and course.tier != "certain":
            now["settled"] = remembered(messages)
        if course.kind:
            now["pinned"] = pinned_text(course.kind, context.country, settings)
        turn, lines = turn_of(messages), help_lines(course.kind, context, settings)
        if course.tier != "certain":
            check_own(state)
            if course.tier == "concern":
                emit([help_event(turn, now, now["pinned"], lines)], config)
            if spoken := [message for message in messages if speaker_of(message)]:
                check_text(text_of(spoken[-1]))
            return {"guard": now}
        assert course.kind  # a certain crisis has a kind
        reviewed = known.get("fired", False) and known.get("reviewed", False)
        nested = NESTED in str(config.get("configurable", {}).get("checkpoint_ns", ""))
        now["round"] = (known.get("fired") and known.get("round")) or dialogue_round(
            utterances(messages)
        )
        now["reviewed"] = reviewed
        # Inside another graph an interrupt would keep the reply out of that graph's state.
        now["awaits_review"] = context.review and not reviewed and not nested
        text = help_text(course.kind, course.given, context, settings)
        said = AIMessage(text, id=str(uuid4()), additional_kwargs={MARK: course.kind})
        emit([help_event(turn, now, text, lines), reply_event(turn, said, "guard")], config)
        # No candidates were ranked for this reply.
        return {"messages": [said], "guard": now, "ranking": [], "passive": []}

    if second is None:
        # In a thread for async callers: the reader may load and run an encoder.
        return RunnableLambda(guard, name="guard")
    return _with_second_reader(guard, second, own, settings)


def _with_second_reader(
    guard: Callable[[Mapping[str, Any], RunnableConfig, Opinions], Update],
    second: SecondReader,
    own: Readers,
    settings: GuardSettings,
) -> Node:
    """Let the second reader look at what is new before the guard decides."""

    def unread(state: Mapping[str, Any]) -> tuple[list[ToRead], bool] | None:
        """Return the messages to read, and whether a crisis is feared without the second reader.

        None: one is certain without it.
        """
        messages: Sequence[AnyMessage] = state.get("messages", [])
        known = known_of(state)
        manner = Manner.chosen(current_context(), settings)
        tier = course_of(messages, known, own, manner).tier
        if tier == "certain":
            return None
        said, new = last_turn(messages, known)
        ones = [ToRead.after([*said, *new[:place]], text) for place, text in enumerate(new)]
        return second.unknown([*ones, ToRead.after(said, " ".join(new))]), tier != "none"

    def decided(
        state: Mapping[str, Any], config: RunnableConfig, opinions: Opinions, fault: Fault | None
    ) -> Update:
        update = guard(state, config, opinions)
        if fault:
            emit([fault_event(turn_of(state.get("messages", [])), fault)], config)
            update["cooper"] = with_fault(state["cooper"], fault)
        return update

    def run(state: Mapping[str, Any], config: RunnableConfig) -> Update:
        if (new := unread(state)) is None:
            return guard(state, config, NONE)
        to_read, feared = new
        fault = second.read(to_read, config, feared=feared)
        return decided(state, config, second.opinions(), fault)

    async def arun(state: Mapping[str, Any], config: RunnableConfig) -> Update:
        if (new := await run_in_executor(config, unread, state)) is None:
            return await run_in_executor(config, guard, state, config, NONE)
        to_read, feared = new
        fault = await second.aread(to_read, config, feared=feared)
        return await run_in_executor(config, decided, state, config, second.opinions(), fault)

    return RunnableLambda(run, afunc=arun, name="guard")


def after_guard(state: Mapping[str, Any]) -> str:
    """Return the next step: "on" (to the agents), "review" (by a person), or "end"."""
    known: GuardState = state.get("guard") or GuardState()
    if not known.get("fired"):
        return "on"
    return "review" if known.get("awaits_review") else "end"
