"""Annotating real dialogues with what the agents would have seen and proposed at every turn.

The ranker learns from these (paper, "Training"). The very nodes that run in a conversation do the
work, so that what the ranker is trained on is what it meets later.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from langgraph_cooper.graph.agent import create_agent
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.coordinator import gather
from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.nodes.passive import passive_node
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.state import conversation_schema
from langgraph_cooper.nodes.text import sentences
from langgraph_cooper.prompts import PASSIVE, TaskSpec
from langgraph_cooper.ranker.annotated import (
    AnnotatedDialogue,
    AnnotatedTurn,
    Candidate,
    DataError,
    Dialogue,
    annotated_line,
)
from langgraph_cooper.ranker.select import untrained_ranker

Annotator = CompiledStateGraph[Any, CooperContext, Any, Any]


def create_annotator(resources: Resources) -> Annotator:
    """Builds the graph that annotates one turn: the agents without progression analysis.

    Progression needs target states, and these are found in what this graph makes.
    """
    task = resources.task
    graph = StateGraph(conversation_schema(task), context_schema=CooperContext)
    for aspect in task.aspects:
        graph.add_node(aspect.name, create_agent(aspect, resources, analyse=False).compile())
        graph.add_edge(START, aspect.name)
    graph.add_node(PASSIVE, passive_node(task))
    graph.add_edge(START, PASSIVE)
    return graph.compile()


async def annotate_dialogue(
    annotator: Annotator, task: TaskSpec, dialogue: Dialogue
) -> AnnotatedDialogue:
    """Runs the agents before every system utterance of a dialogue, and once more at its end.

    Raises:
        ModelError: An agent failed. What stands in for it in a conversation is nothing to learn
            from.
    """
    messages: list[BaseMessage] = []
    state: dict[str, Any] = {}
    turns = []
    for index, utterance in enumerate(dialogue.utterances):
        if utterance.speaker == "system":
            state = await _asked(annotator, task, {**state, "messages": list(messages)})
            turns.append(_turn(task, index, state))
            messages.append(AIMessage(utterance.text))
        else:
            messages.append(HumanMessage(utterance.text))
    final = await _asked(annotator, task, {**state, "messages": list(messages)})
    return AnnotatedDialogue(
        id=dialogue.id,
        utterances=dialogue.utterances,
        turns=tuple(turns),
        final_states={name: final[name]["state"] for name in task.aspect_names},
    )


async def _asked(annotator: Annotator, task: TaskSpec, state: dict[str, Any]) -> dict[str, Any]:
    state = await annotator.ainvoke(state)
    for name in task.aspect_names:
        for fault in state[name].get("faults", []):
            raise ModelError(fault["message"], fault["kind"])
    return state


def _turn(task: TaskSpec, index: int, state: dict[str, Any]) -> AnnotatedTurn:
    return AnnotatedTurn(
        index=index,
        states={name: state[name]["state"] for name in task.aspect_names},
        candidates=tuple(
            Candidate(aspect=aspect, strategy=c["strategy"], topic=c["topic"])
            for aspect, c in gather(task, state)
        ),
    )


async def annotate(
    dialogues: Iterable[Dialogue],
    task: TaskSpec,
    out: Path,
    *,
    model: str | BaseChatModel | None = None,
    at_once: int = 4,
    done: Callable[[int], None] = lambda _: None,
) -> None:
    """Annotates dialogues into a JSONL file, a line each, and goes on where it was stopped.

    Args:
        dialogues: What to annotate.
        task: The task whose agents annotate.
        out: The file. Dialogues that stand in it already are not annotated again; a last line
            that a kill left half written is.
        model: A chat model; None: the offline backend.
        at_once: How many dialogues are worked on at the same time.
        done: Is told how many dialogues were just finished.

    Raises:
        DataError: The file holds something else, or cannot be written.
    """
    finished = _resume(out)
    waiting = [dialogue for dialogue in dialogues if dialogue.id not in finished]
    done(len(finished))
    resources = Resources(task, model, None, untrained_ranker(task))
    annotator = create_annotator(resources)
    # Offline, one batch for all sentences of a dialogue is several times faster than one call
    # for each: the agents then find them in the encoder's cache.
    preload = None if model else resources.ranker().embed

    async def work(dialogue: Dialogue) -> AnnotatedDialogue:
        if preload:
            await asyncio.to_thread(preload, _texts(dialogue))
        return await annotate_dialogue(annotator, task, dialogue)

    try:
        with out.open("a", encoding="utf-8") as file:
            async for annotated in _several(work, waiting, at_once):
                file.write(annotated_line(annotated))
                file.flush()
                done(1)
    except OSError as error:
        raise DataError(
            f"{out} cannot be written: {error.strerror}; nothing before is lost"
        ) from None


def _texts(dialogue: Dialogue) -> list[str]:
    """The texts of a dialogue that the offline agents will compare."""
    said = dialogue.utterances
    heard = [utterance.text for utterance in said if utterance.speaker == "user"]
    return [*heard, *(sentence for utterance in said for sentence in sentences(utterance.text))]


async def _several(
    work: Callable[[Dialogue], Awaitable[AnnotatedDialogue]],
    dialogues: Iterable[Dialogue],
    at_once: int,
) -> AsyncIterator[AnnotatedDialogue]:
    """Annotates up to `at_once` dialogues at a time and gives each as soon as it is finished."""
    waiting = iter(dialogues)
    running: set[asyncio.Future[AnnotatedDialogue]] = set()
    try:
        while True:
            for dialogue in waiting:
                running.add(asyncio.ensure_future(work(dialogue)))
                if len(running) >= at_once:
                    break
            if not running:
                return
            ready, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for finished in ready:
                yield finished.result()
    finally:
        for unfinished in running:
            unfinished.cancel()


def _resume(out: Path) -> set[str]:
    """Ids of the dialogues in the file; cuts off a last line that was not finished."""
    if not out.is_file():
        return set()
    data = out.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    try:
        ids = {str(json.loads(line)["id"]) for line in whole.splitlines() if line.strip()}
    except (ValueError, KeyError, TypeError):
        raise DataError(
            f"{out} holds something else than annotated dialogues: choose another file"
        ) from None
    if len(whole) != len(data):
        with out.open("r+b") as file:
            file.truncate(len(whole))
    return ids
