"""The safety guard: answers a person in danger with a fixed text, without agents or models.

It is a minimum, not a clinical judgement: it knows fixed phrases and misses everything that is said
in other words (docs/safety.md).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, Any

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langgraph.channels import UntrackedValue
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

from langgraph_cooper.nodes.context import CooperContext, current_context
from langgraph_cooper.nodes.crisis.lexicon import phrases
from langgraph_cooper.nodes.crisis.phrases import asked_about, crisis_kind, unsayable
from langgraph_cooper.nodes.generator import STANDS_IN
from langgraph_cooper.nodes.intake import check_text
from langgraph_cooper.nodes.language.history import speaker_of, text_of, utterances
from langgraph_cooper.nodes.node import Node, Update, quick_node
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.state import GuardState
from langgraph_cooper.nodes.voice import OfflineVoice
from langgraph_cooper.prompts import CrisisKind, GuardSettings, TaskSpec, help_texts
from langgraph_cooper.ranker.data.dialogue import dialogue_round

MARK = "cooper_guard"
"""Key in the `additional_kwargs` of the guard's messages; its value is the kind of crisis, or
"reply" for the text that replaced a reply."""

MAX_JOINED = 3  # the user's last messages are also read as one: "I want to" / "kill myself"
NESTED = "|"  # separates the levels in the checkpoint namespace of a nested graph

# The beginning of a clear no to a question such as "Do you think of hurting yourself?".
PLAIN_NO = re.compile(
    r"\W*(no|nope|nah|never|not|i don.?t|i do not|i.?m not|i would never)\b", re.IGNORECASE
)


class Draft(TypedDict):
    """A reply before its check; `held` if none of it was streamed."""

    message: AIMessage
    held: bool


class Drafted(TypedDict, total=False):
    """Input of the node that checks a reply. A draft is never saved with the conversation."""

    messages: list[AnyMessage]
    draft: Annotated[Draft, UntrackedValue]


# Before the agents -----------------------------------------------------------------------------


def guard_node(task: TaskSpec) -> Node:
    """Build the node that reads the user's messages before any agent does.

    On a hit it answers, and from then on it answers every turn, until a person lifts it
    (`released`, or the review).
    """
    settings = task.guard or GuardSettings()

    def guard(state: Mapping[str, Any], config: RunnableConfig) -> Update:
        messages: Sequence[AnyMessage] = state.get("messages", [])
        known: GuardState = state.get("guard") or GuardState()
        recent = _since_release(messages, known)
        answered = [m.additional_kwargs[MARK] for m in recent if _marked(m)]
        found = _found(recent)
        fired = known.get("fired", False)
        if not (fired or answered or found):
            if spoken := [message for message in messages if speaker_of(message)]:
                check_text(text_of(spoken[-1]))
            return {}
        kind = _gravest({*answered, *found, known.get("kind")})
        context = current_context()
        given = len(answered) if kind in answered else None
        text = help_text(kind, given, context.country, settings)
        reviewed = fired and known.get("reviewed", False)
        nested = NESTED in str(config.get("configurable", {}).get("checkpoint_ns", ""))
        now = GuardState(
            fired=True,
            kind=kind,
            round=(fired and known.get("round")) or dialogue_round(utterances(messages)),
            reviewed=reviewed,
            # Inside another graph an interrupt would keep the reply out of that graph's state.
            awaits_review=context.review and not reviewed and not nested,
        )
        said = AIMessage(text, additional_kwargs={MARK: kind})
        # No candidates were ranked for this reply.
        return {"messages": [said], "guard": now, "ranking": [], "passive": []}

    return quick_node("guard", guard)


def after_guard(state: Mapping[str, Any]) -> str:
    """Return the next step: "on" (to the agents), "review" (by a person), or "end"."""
    known: GuardState = state.get("guard") or GuardState()
    if not known.get("fired"):
        return "on"
    return "review" if known.get("awaits_review") else "end"


def help_text(
    kind: CrisisKind, given: int | None, country: str | None, settings: GuardSettings
) -> str:
    """Return the fixed text for a kind of crisis.

    Args:
        kind: The kind of crisis.
        given: The number of texts given before; None for the first text about this kind.
        country: ISO 3166 code of the run, if it has one.
        settings: The task's settings, with its default country.
    """
    texts = help_texts()
    place = texts.place(country or settings.country)
    form = texts.first[kind] if given is None else texts.later[(given - 1) % len(texts.later)]
    line = place.abuse if kind == "danger" and place.abuse else place.line
    return form.format(line=line, emergency=place.emergency)


def _gravest(kinds: AbstractSet[str | None]) -> CrisisKind:
    """Return the first of these kinds in the order of the phrase file, which is that of gravity."""
    return next((kind.name for kind in phrases().kinds if kind.name in kinds), "suicide")


def _found(messages: Sequence[BaseMessage]) -> set[str]:
    """Return the kinds of crisis in the user's messages, singly and with the last ones joined.

    All messages are read: an earlier one may not have been answered, and a nested graph has no
    other memory. The result of each text is cached.
    """
    said = [text_of(message) for message in messages if isinstance(message, HumanMessage)]
    joined = [" ".join(said[-count:]) for count in range(2, MAX_JOINED + 1) if len(said) >= count]
    kinds = {crisis_kind(text) for text in (*said, *joined)} | _confirmed(messages)
    return {kind for kind in kinds if kind}


def _confirmed(messages: Sequence[BaseMessage]) -> set[str | None]:
    """Return the kinds of crisis that the system asked about and the user did not deny."""
    spoken = [message for message in messages if speaker_of(message)]
    return {
        asked_about(text_of(question))
        for question, answer in itertools.pairwise(spoken)
        if isinstance(question, AIMessage)
        and isinstance(answer, HumanMessage)
        and MARK not in question.additional_kwargs
        and "?" in text_of(question)
        and not PLAIN_NO.match(text_of(answer))
    }


def _marked(message: BaseMessage) -> bool:
    mark = message.additional_kwargs.get(MARK)
    return isinstance(message, AIMessage) and mark in {kind.name for kind in phrases().kinds}


def _since_release(messages: Sequence[AnyMessage], known: GuardState) -> Sequence[AnyMessage]:
    """Return the messages since a person lifted the guard, or all messages."""
    if released := known.get("released"):
        for place, message in enumerate(messages):
            if message.id == released:
                return messages[place + 1 :]
    return messages


# A person's review -----------------------------------------------------------------------------


def review_node() -> Node:
    """Build the node that waits for a person's decision, after the help text is saved.

    `Command(resume={"release": True})` lifts the guard. Any other answer keeps it, and the guard
    does not ask again.
    """

    def review(state: Mapping[str, Any]) -> Update:
        messages: Sequence[AnyMessage] = state["messages"]
        known: GuardState = state["guard"]
        said = [text_of(m) for m in messages if isinstance(m, HumanMessage)]
        decision = interrupt(
            {"kind": known["kind"], "said": said[-1] if said else "", "answer": messages[-1].text}
        )
        if isinstance(decision, Mapping) and decision.get("release") is True:
            return released(state)
        return {"guard": {**known, "reviewed": True, "awaits_review": False}}

    return quick_node("review", review)


def released(state: Mapping[str, Any]) -> Update:
    """Return the state update that lifts the guard; it reads only messages that come later.

    `graph.update_state(config, released(graph.get_state(config).values), as_node="review")`

    Args:
        state: The conversation's state.
    """
    messages: Sequence[AnyMessage] = state.get("messages", [])
    last = messages[-1].id if messages else None
    return {"guard": GuardState(fired=False, reviewed=True, released=last or "")}


# After the generator ---------------------------------------------------------------------------


def drafting(generator: Node, task: TaskSpec, resources: Resources) -> Node:
    """Wrap the generator of a guarded task: its reply is a draft until `reply_guard` checks it.

    Args:
        generator: The generator's node.
        task: The task.
        resources: The graph's resources, which know whether a language model generates.
    """
    settings = task.guard or GuardSettings()

    def steps(context: CooperContext) -> tuple[Node, bool]:
        wanted = settings.hold if context.hold_reply is None else context.hold_reply
        # The offline generator says only the bank's sentences, and echoes that it checks itself.
        held = wanted and not resources.speaks_offline(context)
        # Under the node's own name LangGraph would stream the draft as a message.
        quiet = {"run_name": "draft", "tags": ["nostream"] if held else []}
        return generator.with_config(RunnableConfig(**quiet)), held  # type: ignore[typeddict-item]

    def draft(update: Update, held: bool) -> Update:
        others = {key: value for key, value in update.items() if key != "messages"}
        return {**others, "draft": Draft(message=update["messages"][-1], held=held)}

    def run(state: Mapping[str, Any], config: RunnableConfig) -> Update:
        step, held = steps(current_context())
        return draft(step.invoke(state, config), held)

    async def arun(state: Mapping[str, Any], config: RunnableConfig) -> Update:
        step, held = steps(current_context())
        return draft(await step.ainvoke(state, config), held)

    return RunnableLambda(run, afunc=arun, name="generator")


def reply_guard_node(task: TaskSpec) -> Node:
    """Build the node that checks a reply before it becomes part of the conversation.

    A held reply is streamed here, word by word. One that has streamed is added, or replaced.
    """
    settings = task.guard or GuardSettings()
    voice = OfflineVoice()

    def checked(draft: Draft) -> tuple[AIMessage, bool]:
        """Return the final reply, and whether it still has to be streamed."""
        message = draft["message"]
        if not unsayable(message.text):
            return message, draft["held"]
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

    def run(state: Mapping[str, Any], config: RunnableConfig) -> Any:
        if (draft := state.get("draft")) is None:
            return undrafted(state)
        message, unheard = checked(draft)
        said = aloud(message).invoke([message], config) if unheard else message
        return {"messages": [message.model_copy(update={"id": said.id})]}

    async def arun(state: Mapping[str, Any], config: RunnableConfig) -> Any:
        if (draft := state.get("draft")) is None:
            return undrafted(state)
        message, unheard = checked(draft)
        said = await aloud(message).ainvoke([message], config) if unheard else message
        return {"messages": [message.model_copy(update={"id": said.id})]}

    return RunnableLambda(run, afunc=arun, name="reply_guard")
