"""Annotating real dialogues with what the agents would have seen and proposed at every turn.

The ranker learns from these (paper, "Training"). The very nodes that run in a conversation do the
work, so that what the ranker is trained on is what it meets later. In a conversation something
stands in for a step that failed; in an annotation nothing may, and so a fault ends it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from pydantic import ValidationError

from langgraph_cooper.graph.agent import create_agent
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.coordinator import gather
from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.nodes.language.history import utterances
from langgraph_cooper.nodes.offline.tracker import quotable
from langgraph_cooper.nodes.passive import passive_node
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.state import conversation_schema
from langgraph_cooper.nodes.tracker import tracker_node
from langgraph_cooper.prompts import PASSIVE, CooperError, TaskSpec
from langgraph_cooper.ranker.data.dialogue import (
    AnnotatedDialogue,
    AnnotatedTurn,
    Candidate,
    DataError,
    Dialogue,
)
from langgraph_cooper.ranker.data.jsonl import annotated_line, read_records, write_annotated
from langgraph_cooper.ranker.untrained import UntrainedRanker

DEADLINE = 300.0
"""Seconds for a turn's model calls: nobody waits, and an endpoint that is asked by the thousand
times tells its callers to come back in a minute."""

_Graph = CompiledStateGraph[Any, CooperContext, Any, Any]


class AnnotationError(CooperError):
    """An annotation ended before its end; says how much is done and that it can go on."""


class Annotation(NamedTuple):
    """What an annotation came to.

    Attributes:
        found: Dialogues that stood in the file already.
        made: Dialogues that were added to it.
        filled: Candidates that the task's bank gave, where a chat model gave too few; 0 offline,
            where all are the bank's.
        relabelled: Dialogues in the file whose strategies are others in the data by now; those of
            the data count.
    """

    found: int
    made: int
    filled: int
    relabelled: int


class Annotator(NamedTuple):
    """The agents as an annotation needs them.

    Attributes:
        turn: The graph that annotates one turn: the agents without progression analysis, which
            needs target states, and these are found in what this graph makes.
        end: The graph for the end of a dialogue: the trackers alone, for the final states.
    """

    turn: _Graph
    end: _Graph


def create_annotator(resources: Resources) -> Annotator:
    """Builds the graphs that annotate."""
    task = resources.task
    turn = StateGraph(conversation_schema(task), context_schema=CooperContext)
    end = StateGraph(conversation_schema(task), context_schema=CooperContext)
    for aspect in task.aspects:
        turn.add_node(aspect.name, create_agent(aspect, resources, analyse=False).compile())
        turn.add_edge(START, aspect.name)
        end.add_node(aspect.name, tracker_node(aspect, resources))
        end.add_edge(START, aspect.name)
    turn.add_node(PASSIVE, passive_node(task))
    turn.add_edge(START, PASSIVE)
    return Annotator(turn.compile(), end.compile())


async def annotate_dialogue(
    annotator: Annotator,
    task: TaskSpec,
    dialogue: Dialogue,
    context: CooperContext | None = None,
) -> tuple[AnnotatedDialogue, int]:
    """Runs the agents before every system utterance of a dialogue, and the trackers at its end.

    Args:
        annotator: The agents.
        task: Their task.
        dialogue: What to annotate.
        context: Of every turn.

    Returns:
        The annotated dialogue, and how many of its candidates are the bank's.

    Raises:
        ModelError: An agent failed. What stands in for it in a conversation is nothing to learn
            from.
    """
    messages: list[BaseMessage] = []
    state: dict[str, Any] = {}
    turns, from_bank = [], 0
    for index, utterance in enumerate(dialogue.utterances):
        if utterance.speaker == "system":
            state = await _asked(
                annotator.turn, task, {**state, "messages": list(messages)}, context
            )
            turns.append(_turn(task, index, state))
            from_bank += sum(c["source"] == "bank" for _, c in _own(task, state))
            messages.append(AIMessage(utterance.text))
        else:
            messages.append(HumanMessage(utterance.text))
    final = await _asked(annotator.end, task, {**state, "messages": list(messages)}, context)
    annotated = AnnotatedDialogue(
        id=dialogue.id,
        utterances=dialogue.utterances,
        turns=tuple(turns),
        final_states={name: final[name]["state"] for name in task.aspect_names},
    )
    return annotated, from_bank


async def _asked(
    graph: _Graph, task: TaskSpec, state: dict[str, Any], context: CooperContext | None
) -> dict[str, Any]:
    """The state after a run of the agents; what stands in for one of them is nothing to learn."""
    state = await graph.ainvoke(state, context=context)
    for name in task.aspect_names:
        for fault in state[name].get("faults", []):
            raise ModelError(fault["message"], fault["kind"])
    return state


def _own(task: TaskSpec, state: dict[str, Any]) -> list[tuple[str, Any]]:
    """The aspects' candidates, without the passive ones, which are always the bank's."""
    return [(aspect, c) for aspect, c in gather(task, state) if aspect != PASSIVE]


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
    dialogues: Sequence[Dialogue],
    task: TaskSpec,
    out: Path,
    *,
    model: str | BaseChatModel | None = None,
    at_once: int = 4,
    deadline: float = DEADLINE,
    done: Callable[[int], None] = lambda _: None,
) -> Annotation:
    """Annotates dialogues into a JSONL file, a line each, and goes on where it was stopped.

    Args:
        dialogues: What to annotate.
        task: The task whose agents annotate.
        out: The file. Dialogues that stand in it already are not annotated again; a last line
            that a kill left half written is.
        model: A chat model; None: the offline backend.
        at_once: How many dialogues are worked on at the same time. With a chat model each of them
            has as many calls under way as the task has aspects.
        deadline: Seconds for the model calls of one turn.
        done: Is told how many dialogues were just finished.

    Raises:
        InputError: The deadline is out of its range.
        DataError: The file holds something else, or cannot be written.
        AnnotationError: An agent could not do its work; what is finished is in the file.
    """
    context = CooperContext(deadline=deadline)
    waiting = unfinished(dialogues, task, out, model)
    by = made_by(task, model)
    finished = len(dialogues) - len(waiting)
    done(finished)
    made = filled = 0
    with ThreadPoolExecutor(1, thread_name_prefix="encoder") as thread:
        resources = Resources(task, model, None, lambda: _OneThreadRanker(task, thread))
        annotator = create_annotator(resources)

        async def work(dialogue: Dialogue) -> tuple[AnnotatedDialogue, int]:
            if model is None:
                # One batch for all sentences of a dialogue is faster than a call for each: the
                # agents then find them in the encoder's cache.
                await asyncio.to_thread(resources.ranker().embed, _texts(task, dialogue))
            return await annotate_dialogue(annotator, task, dialogue, context)

        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            _cut_off(out)
            relabelled = _relabel(out, dialogues)
            with out.open("a", encoding="utf-8") as file:
                async for annotated, from_bank in _several(work, waiting, at_once):
                    file.write(annotated_line(annotated.model_copy(update={"made_by": by})))
                    file.flush()
                    made += 1
                    filled += from_bank if model is not None else 0
                    done(1)
        except OSError as error:
            raise DataError(
                f"{out} cannot be written ({error.strerror}); {finished + made} of "
                f"{len(dialogues)} dialogues are annotated: once it can, the same command goes "
                "on with the others"
            ) from None
        except CooperError as error:
            raise AnnotationError(
                f"{str(error).rstrip('.')}; {finished + made} of {len(dialogues)} dialogues "
                f"are in {out}, and the same command goes on with the others"
            ) from error
    return Annotation(finished, made, filled, relabelled)


class _OneThreadRanker(UntrainedRanker):
    """The encoder, always on the same thread.

    Agents embed from whichever thread their graph gives them. Each thread has a heap of its own in
    glibc, and what the encoder's batches leave there in pieces is not given back: after 640
    dialogues that were 3 GB.
    """

    def __init__(self, task: TaskSpec, thread: Executor) -> None:
        self._thread = thread
        super().__init__(task)

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """State embeddings `[N, n_d]` of unit norm; the zero vector for an empty text."""
        return self._thread.submit(super().embed, texts).result()


def _texts(task: TaskSpec, dialogue: Dialogue) -> list[str]:
    """The texts of a dialogue that the offline agents will compare, as they read them."""
    heard = {aspect.listens_to for aspect in task.aspects}
    texts = []
    for said in utterances(_messages(dialogue)):
        if said.speaker == "user":
            texts.append(said.text)
        if not heard.isdisjoint({"both", said.speaker}):
            texts.extend(quotable(said.text))
    return texts


def _messages(dialogue: Dialogue) -> list[BaseMessage]:
    kinds: dict[str, type[BaseMessage]] = {"user": HumanMessage, "system": AIMessage}
    return [kinds[said.speaker](content=said.text) for said in dialogue.utterances]


async def _several(
    work: Callable[[Dialogue], Awaitable[tuple[AnnotatedDialogue, int]]],
    dialogues: Iterable[Dialogue],
    at_once: int,
) -> AsyncIterator[tuple[AnnotatedDialogue, int]]:
    """Annotates up to `at_once` dialogues at a time and gives each as soon as it is finished.

    After a failure no further dialogue is begun, but those under way, which were paid for, are
    still finished and given; then the failure is raised.
    """
    waiting = iter(dialogues)
    running: set[asyncio.Future[tuple[AnnotatedDialogue, int]]] = set()
    failure: BaseException | None = None
    try:
        while True:
            while failure is None and len(running) < at_once:
                if (dialogue := next(waiting, None)) is None:
                    break
                running.add(asyncio.ensure_future(work(dialogue)))
            if not running:
                break
            ready, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for finished in ready:
                if (error := finished.exception()) is None:
                    yield finished.result()
                else:
                    failure = failure or error
    finally:
        for future in running:
            future.cancel()
    if failure is not None:
        raise failure


def unfinished(
    dialogues: Sequence[Dialogue],
    task: TaskSpec,
    out: Path,
    model: str | BaseChatModel | None = None,
) -> list[Dialogue]:
    """The dialogues that are still to be annotated into a file.

    Raises:
        DataError: The file holds something else than annotations of these dialogues, by this model
            for this task.
    """
    known = {dialogue.id: dialogue for dialogue in dialogues}
    by = made_by(task, model)
    finished = {
        _finished(f"{out}, line {number}", line, task, by, known).id
        for number, line in enumerate(_lines(out)[0].split(b"\n"), start=1)
        if line.strip()
    }
    return [dialogue for dialogue in dialogues if dialogue.id not in finished]


def made_by(task: TaskSpec, model: str | BaseChatModel | None) -> str:
    """Who annotates: another model, or the task with other topics, would do it otherwise."""
    if isinstance(model, BaseChatModel):
        name = getattr(model, "model_name", None) or model._llm_type
    else:
        name = model or "offline"
    digest = hashlib.sha256(task.model_dump_json().encode()).hexdigest()[:12]
    return f"{name}, {task.name} {digest}"


def _relabel(out: Path, dialogues: Sequence[Dialogue]) -> int:
    """Gives what is annotated already the data's present labels, which no agent sees.

    Returns:
        How many dialogues had others.
    """
    labels = {dialogue.id: dialogue.utterances for dialogue in dialogues}
    found = read_records(out, AnnotatedDialogue) if _lines(out)[0].strip() else []
    fresh = [d.model_copy(update={"utterances": labels.get(d.id, d.utterances)}) for d in found]
    changed = sum(one != other for one, other in zip(found, fresh, strict=True))
    if changed:
        write_annotated(out, fresh)
    return changed


def _lines(out: Path) -> tuple[bytes, bytes]:
    """What stands in the file: whole lines, and one that a kill or a full disk cut off."""
    try:
        data = out.read_bytes() if out.is_file() else b""
    except OSError as error:
        raise DataError(f"{out} cannot be read: {error.strerror}") from None
    end = data.rfind(b"\n") + 1
    if data[end:] and not (data[end:].startswith(_BEGIN) or _BEGIN.startswith(data[end:])):
        raise DataError(f"{out} holds something else than annotated dialogues: {_ELSEWHERE}")
    return data[:end], data[end:]


def _cut_off(out: Path) -> None:
    """Removes a last line that was not finished."""
    whole, rest = _lines(out)
    if rest:
        with out.open("r+b") as file:
            file.truncate(len(whole))


_BEGIN = b'{"id": '
_ELSEWHERE = "choose another file, or remove this one"


def _finished(
    place: str, line: bytes, task: TaskSpec, by: str, dialogues: dict[str, Dialogue]
) -> AnnotatedDialogue:
    """The dialogue in a line of the file, if it is one of these, annotated likewise."""
    try:
        found = AnnotatedDialogue.model_validate_json(line)
    except ValidationError:
        raise DataError(
            f"{place}: something else than an annotated dialogue stands there: {_ELSEWHERE}"
        ) from None
    states = set(found.final_states)
    if states != set(task.aspect_names):
        raise DataError(
            f"{place}: annotated with the aspects {', '.join(sorted(states))}, which are not the "
            f"task's: {_ELSEWHERE}"
        )
    if found.made_by not in ("", by):
        raise DataError(
            f"{place}: annotated by {found.made_by!r}, now it would be by {by!r}: {_ELSEWHERE}"
        )
    if found.id not in dialogues:
        raise DataError(
            f"{place}: the dialogue {found.id!r} is none of those to be annotated: {_ELSEWHERE}"
        )
    said = [(u.speaker, u.text) for u in found.utterances]
    if said != [(u.speaker, u.text) for u in dialogues[found.id].utterances]:
        raise DataError(
            f"{place}: the dialogue {found.id!r} is another one than in the data: {_ELSEWHERE}"
        )
    return found
