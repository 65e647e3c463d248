"""The guard of the reply: checks a draft, and asks about safety where there is a concern."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langgraph.channels import UntrackedValue
from langgraph.types import Command
from typing_extensions import TypedDict

from langgraph_cooper.nodes.context import CooperContext, current_context
from langgraph_cooper.nodes.crisis.phrases import denies, unsayable
from langgraph_cooper.nodes.crisis.questions import asked_about
from langgraph_cooper.nodes.events import ReplyEvent, Speaker, aemit, emit, reply_event, turn_of
from langgraph_cooper.nodes.generator import NEUTRAL, STANDS_IN
from langgraph_cooper.nodes.guard import CONCERN, MARK
from langgraph_cooper.nodes.language.history import speaker_of, text_of
from langgraph_cooper.nodes.language.text import without_sentences
from langgraph_cooper.nodes.llm.watch import QUIET
from langgraph_cooper.nodes.node import Node, Update
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.state import GuardState
from langgraph_cooper.nodes.voice import OfflineVoice
from langgraph_cooper.prompts import GuardSettings, TaskSpec, help_texts


class Draft(TypedDict):
    """A reply before its check; `held` if none of it was streamed."""

    message: AIMessage
    held: bool


class Drafted(TypedDict, total=False):
    """Input of the node that checks a reply. A draft is never saved with the conversation."""

    messages: list[AnyMessage]
    guard: GuardState
    draft: Annotated[Draft, UntrackedValue]


def drafting(generator: Node, task: TaskSpec, resources: Resources) -> Node:
    """Wrap the generator of a guarded task: its reply is a draft until `reply_guard` checks it.

    Args:
        generator: The generator's node.
        task: The task.
        resources: The graph's resources, which know whether a language model generates.
    """
    settings = task.guard or GuardSettings()

    def steps(state: Mapping[str, Any], context: CooperContext) -> tuple[Node, bool]:
        wanted = settings.hold if context.hold_reply is None else context.hold_reply
        # The offline generator says only the bank's sentences, and echoes that it checks itself.
        held = (wanted and not resources.speaks_offline(context)) or _is_changed(state)
        # Under the node's own name LangGraph would stream the draft as a message.
        quiet = QUIET if held else RunnableConfig()
        return generator.with_config(RunnableConfig(**quiet, run_name="draft")), held

    def draft(update: Update, held: bool) -> Update:
        others = {key: value for key, value in update.items() if key != "messages"}
        return {**others, "draft": Draft(message=update["messages"][-1], held=held)}

    def run(state: Mapping[str, Any], config: RunnableConfig) -> Update:
        step, held = steps(state, current_context())
        return draft(step.invoke(state, config), held)

    async def arun(state: Mapping[str, Any], config: RunnableConfig) -> Update:
        step, held = steps(state, current_context())
        return draft(await step.ainvoke(state, config), held)

    return RunnableLambda(run, afunc=arun, name="generator")


def reply_guard_node(task: TaskSpec) -> Node:
    """Build the node that checks a reply before it becomes part of the conversation.

    A held reply is streamed here, word by word. One that has streamed is added, or replaced.
    """
    settings = task.guard or GuardSettings()
    voice = OfflineVoice()

    def checked(draft: Draft, state: Mapping[str, Any]) -> tuple[AIMessage, bool]:
        """Return the final reply, and whether it still has to be streamed."""
        message = draft["message"]
        if not unsayable(text_of(message)):
            return _changed(message, state, settings), draft["held"]
        place = help_texts().place(current_context().country or settings.country)
        text = help_texts().unsaid.format(line=place.line, emergency=place.emergency)
        return AIMessage(text, additional_kwargs={MARK: "reply"}), True

    def undrafted(state: Mapping[str, Any]) -> Any:
        """Draft again if the process died before the check: a draft is not saved."""
        spoken = [message for message in state.get("messages", []) if speaker_of(message)]
        answered = bool(spoken) and speaker_of(spoken[-1]) == "system"
        return {} if answered else Command(goto="generator")

    def aloud(message: AIMessage) -> Runnable[Any, AIMessage]:
        marks = {k: v for k, v in message.response_metadata.items() if k == STANDS_IN}
        return voice.with_config(RunnableConfig(metadata=marks))

    def told(state: Mapping[str, Any], final: AIMessage) -> ReplyEvent:
        return reply_event(turn_of(state.get("messages", [])), final, speaker(final))

    def run(state: Mapping[str, Any], config: RunnableConfig) -> Any:
        if (draft := state.get("draft")) is None:
            return undrafted(state)
        message, unheard = checked(draft, state)
        said = aloud(message).invoke([message], config) if unheard else message
        final = message.model_copy(update={"id": said.id})
        emit([told(state, final)], config)
        return {"messages": [final]}

    async def arun(state: Mapping[str, Any], config: RunnableConfig) -> Any:
        if (draft := state.get("draft")) is None:
            return undrafted(state)
        message, unheard = checked(draft, state)
        said = await aloud(message).ainvoke([message], config) if unheard else message
        final = message.model_copy(update={"id": said.id})
        await aemit([told(state, final)], config)
        return {"messages": [final]}

    return RunnableLambda(run, afunc=arun, name="reply_guard")


def speaker(message: AIMessage) -> Speaker:
    """Return who made a final reply; a question about safety leaves it the generator's."""
    if message.additional_kwargs.get(MARK) not in (None, CONCERN):
        return "guard"
    return "stand_in" if STANDS_IN in message.response_metadata else "generator"


def _is_changed(state: Mapping[str, Any]) -> bool:
    """Return whether the reply differs from its draft, so that no word of that may be streamed."""
    return _concern(state) is not None or denies(_last_said(state))


def _changed(message: AIMessage, state: Mapping[str, Any], settings: GuardSettings) -> AIMessage:
    """Begin a reply with a question about safety, or take such a question out after a denial."""
    if (concern := _concern(state)) is not None:
        texts, asked = help_texts(), concern.get("asked", 0)
        place = texts.place(current_context().country or settings.country)
        question = texts.ask[concern["kind"]][min(asked, 1)]
        line = place.line_for(concern["kind"])
        # A second question would draw the answer away from the first.
        rest = "" if settings.alone else without_sentences(text_of(message), _asks)
        gap = "\n\n" if "\n" in rest else " "
        text = f"{question} {texts.where.format(line=line)}{gap}{rest}".rstrip()
        marks = {**message.additional_kwargs, MARK: CONCERN}
        return message.model_copy(update={"content": text, "additional_kwargs": marks})
    if denies(_last_said(state)) and asked_about(text_of(message)):
        rest = without_sentences(text_of(message), lambda part: bool(asked_about(part)))
        return message.model_copy(update={"content": rest or NEUTRAL})
    return message


def _asks(sentence: str) -> bool:
    return sentence.endswith("?")


def _concern(state: Mapping[str, Any]) -> GuardState | None:
    known: GuardState = state.get("guard") or GuardState()
    return known if known.get("tier") == "concern" else None


def _last_said(state: Mapping[str, Any]) -> str:
    said = [text_of(m) for m in state.get("messages", []) if isinstance(m, HumanMessage)]
    return said[-1] if said else ""
