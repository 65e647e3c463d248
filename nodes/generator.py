"""The generator node: says the top-K candidates (paper, "Utterance Generation")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda

from langgraph_cooper.nodes.backend import GeneratorInput, PromoterInput
from langgraph_cooper.nodes.candidates import (
    bank_candidates,
    completed_ranking,
    distinct_topics,
    report_of,
)
from langgraph_cooper.nodes.choices import with_choice
from langgraph_cooper.nodes.context import current_context
from langgraph_cooper.nodes.events import (
    ReplyEvent,
    Speaker,
    aemit,
    emit,
    fault_event,
    reply_event,
    turn_of,
)
from langgraph_cooper.nodes.language.history import utterances
from langgraph_cooper.nodes.node import Call, Node, Update, calling_node, fault_of
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.state import Explanation, Fault, RankedCandidate, with_fault
from langgraph_cooper.nodes.voice import OfflineVoice
from langgraph_cooper.prompts import PASSIVE
from langgraph_cooper.ranker.data.dialogue import Utterance

STANDS_IN = "cooper_stands_in"
"""Key of the fault's kind on a reply that stands in for a model's: in the message's
`response_metadata`, and in the metadata of its tokens in the "messages" stream."""

NEUTRAL = "I am still here. Please go on, in your own time."
"""The reply if even the task's own sentences fail."""


def generator_node(resources: Resources) -> Node:
    """Build the node that adds the next utterance U to the messages.

    If the model fails, the offline generator replies with the task's own sentences; where a crisis
    is feared, also after a fault that a person must mend, such as a refused key. A reply that
    broke off is not saved. A ranking that a person edited is completed, or refused with an
    `InputError`.
    """
    aspects = resources.task.aspect_names

    def edited(state: Mapping[str, Any]) -> tuple[Mapping[str, Any], Update]:
        """Return the state with its ranking completed, and the update if that changed it."""
        update = {"ranking": completed_ranking(state.get("ranking"), aspects)}
        changed = update["ranking"] != state.get("ranking", [])
        return {**state, **update}, update if changed else {}

    def prepare(state: Mapping[str, Any]) -> Call:
        context = current_context()
        given = GeneratorInput(
            history=utterances(state.get("messages", [])),
            topics=distinct_topics(edited(state)[0]["ranking"])[: context.k or resources.task.k],
            states={name: report_of(state, name).get("state", "") for name in aspects},
        )
        return resources.backend(context).generator, given

    def finish(state: Mapping[str, Any], answer: AIMessage) -> Update:
        state, update = edited(state)
        return {"messages": [with_choice(answer, state)], **update}

    def on_fault(state: Mapping[str, Any], fault: Fault, config: RunnableConfig) -> Update:
        state, update = edited(state)
        emit([fault_event(turn_of(state.get("messages", [])), fault)], config)
        answer = _prepared_reply(resources, state, fault, config)
        marks = {**answer.response_metadata, STANDS_IN: fault["kind"]}
        marked = answer.model_copy(update={"response_metadata": marks})
        return {
            "messages": [with_choice(marked, state)],
            "cooper": with_fault(state["cooper"], fault),
            **update,
        }

    return calling_node("generator", prepare, finish, on_fault)


def speaking(generator: Node) -> Node:
    """Wrap the generator of a task without a guard: its reply is final, and is told."""
    inner = generator.with_config(run_name="speech")

    def told(state: Mapping[str, Any], update: Update) -> ReplyEvent:
        message: AIMessage = update["messages"][-1]
        by: Speaker = "stand_in" if STANDS_IN in message.response_metadata else "generator"
        return reply_event(turn_of(state.get("messages", [])), message, by)

    def run(state: Mapping[str, Any], config: RunnableConfig) -> Update:
        update = inner.invoke(state, config)
        emit([told(state, update)], config)
        return update

    async def arun(state: Mapping[str, Any], config: RunnableConfig) -> Update:
        update = await inner.ainvoke(state, config)
        await aemit([told(state, update)], config)
        return update

    return RunnableLambda(run, afunc=arun, name="generator")


def _prepared_reply(
    resources: Resources, state: Mapping[str, Any], fault: Fault, config: RunnableConfig
) -> AIMessage:
    marked: RunnableConfig = {"metadata": {STANDS_IN: fault["kind"]}}
    history = utterances(state.get("messages", []))
    topics = _bank_topics(resources, state, history, config)
    given = GeneratorInput(history=history, topics=topics)
    try:
        return resources.offline.generator.with_config(marked).invoke(given, config)
    except Exception as error:
        fault_of("generator", error)
        return OfflineVoice().with_config(marked).invoke([AIMessage(NEUTRAL)], config)


def _bank_topics(
    resources: Resources,
    state: Mapping[str, Any],
    history: Sequence[Utterance],
    config: RunnableConfig,
) -> list[RankedCandidate]:
    """Return the bank's candidates for the ranking's aspects, in the ranking's order.

    A model's candidates are outlines for a speaker ("Ask about her sleep") and cannot be said.
    """
    ranking: list[RankedCandidate] = state.get("ranking", [])
    topics = []
    for aspect in dict.fromkeys(ranked["aspect"] for ranked in ranking):
        own = [r for r in ranking if r["aspect"] == aspect and r["source"] == "bank"]
        if not own and aspect != PASSIVE:
            given = PromoterInput(
                aspect=resources.task.aspect(aspect),
                history=history,
                state=report_of(state, aspect).get("state", ""),
                m=resources.task.m,
            )
            own = [
                RankedCandidate(rank=0, score=0.0, aspect=aspect, **candidate, **Explanation())
                for candidate in bank_candidates(resources, given, config)
            ]
        topics += own
    return topics
