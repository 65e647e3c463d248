"""Annotating many dialogues into a JSONL file, several at a time, resumable after a stop."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from langchain_core.language_models import BaseChatModel
from pydantic import ValidationError

from langgraph_cooper.graph.annotation.annotator import (
    annotate_dialogue,
    as_messages,
    create_annotator,
)
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.language.history import utterances
from langgraph_cooper.nodes.llm.models import name_of
from langgraph_cooper.nodes.offline.tracker import quotable
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.prompts import CooperError, TaskSpec
from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue, DataError, Dialogue
from langgraph_cooper.ranker.data.jsonl import (
    dialogue_line,
    finished_lines,
    remove_unfinished_line,
    write_annotated,
)
from langgraph_cooper.ranker.untrained import UntrainedRanker

DEADLINE = 300.0
"""Seconds for a turn's model calls. Nobody waits for the answer, and an endpoint that gets
thousands of calls tells its callers to come back in a minute."""

_BEGINNING = b'{"id": '
"""The beginning of every line of an annotation."""

_ELSEWHERE = "choose another file, or remove this one"


class AnnotationError(CooperError):
    """An annotation stopped early; the message says how much is done and how to go on."""


class Annotation(NamedTuple):
    """Counts of an annotation.

    Attributes:
        found: Dialogues that were in the file already.
        made: Dialogues that were added to it.
        filled: Candidates from the task's bank, used where a chat model gave too few; 0 offline,
            where the bank gives all.
        relabelled: Dialogues in the file that got the data's present strategies.
    """

    found: int
    made: int
    filled: int
    relabelled: int


async def annotate(
    dialogues: Sequence[Dialogue],
    task: TaskSpec,
    out: Path,
    *,
    model: str | BaseChatModel | None = None,
    at_once: int = 4,
    limits: CooperContext | None = None,
    done: Callable[[int], None] = lambda _: None,
) -> Annotation:
    """Annotate dialogues into a JSONL file, or go on with those that it lacks.

    Args:
        dialogues: The dialogues to annotate.
        task: The task whose agents annotate.
        out: The file. Dialogues in it are not annotated again, except an unfinished last line.
        model: A chat model; None: the offline backend.
        at_once: Number of dialogues annotated at the same time. With a chat model each of them
            has as many concurrent calls as the task has aspects.
        limits: Has the deadline and the number of the model calls of one turn; None: `DEADLINE`
            seconds, and four times a normal turn's calls.
        done: Called with the number of dialogues just finished.

    Raises:
        DataError: The file holds something else, or cannot be written.
        AnnotationError: An agent failed; the finished dialogues are in the file.
    """
    context = limits or CooperContext(deadline=DEADLINE)
    by = made_by(task, model)
    found = _read(out, task, by, dialogues)
    waiting = _missing(dialogues, found)
    finished = len(dialogues) - len(waiting)
    done(finished)
    made = filled = 0
    # Prepared answers stand outside the ranking: a ranker learns nothing from them.
    resources = Resources(task.without_answers(), model, None, lambda: UntrainedRanker(task))
    annotator = create_annotator(resources)

    async def work(dialogue: Dialogue) -> tuple[AnnotatedDialogue, int]:
        if model is None:
            # One batch for all sentences of a dialogue is faster than a call for each: the
            # agents then find them in the encoder's cache.
            await asyncio.to_thread(resources.ranker().embed, _texts(task, dialogue))
        return await annotate_dialogue(annotator, task, dialogue, context)

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        remove_unfinished_line(out)
        relabelled = _relabel(out, found, dialogues)
        with out.open("a", encoding="utf-8", newline="\n") as file:
            async for annotated, from_bank in _several(work, waiting, at_once):
                file.write(dialogue_line(annotated.model_copy(update={"made_by": by})))
                file.flush()
                made += 1
                filled += from_bank if model is not None else 0
                done(1)
    except OSError as error:
        raise DataError(
            f"{out} cannot be written ({error.strerror}); {finished + made} of "
            f"{len(dialogues)} dialogues are annotated: once it can be written, the same "
            "command goes on with the others"
        ) from None
    except CooperError as error:
        raise AnnotationError(
            f"{str(error).rstrip('.')}; {finished + made} of {len(dialogues)} dialogues "
            f"are in {out}, and the same command goes on with the others"
        ) from error
    return Annotation(finished, made, filled, relabelled)


def _texts(task: TaskSpec, dialogue: Dialogue) -> list[str]:
    """The texts of a dialogue that the offline agents will compare, as they read them."""
    heard = {aspect.listens_to for aspect in task.aspects}
    texts = []
    for said in utterances(as_messages(dialogue)):
        if said.speaker == "user":
            texts.append(said.text)
        if not heard.isdisjoint({"both", said.speaker}):
            texts.extend(quotable(said.text))
    return texts


async def _several(
    work: Callable[[Dialogue], Awaitable[tuple[AnnotatedDialogue, int]]],
    dialogues: Iterable[Dialogue],
    at_once: int,
) -> AsyncIterator[tuple[AnnotatedDialogue, int]]:
    """Work on up to `at_once` dialogues at a time and yield each result as soon as it is there.

    After a failure no further dialogue is begun. Those under way, whose calls are paid for, are
    finished and yielded; then the failure is raised.
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
    """The dialogues that a file lacks.

    Raises:
        DataError: The file holds anything but annotations of these dialogues, by this model for
            this task.
    """
    return _missing(dialogues, _read(out, task, made_by(task, model), dialogues))


def made_by(task: TaskSpec, model: str | BaseChatModel | None) -> str:
    """The annotator's name: the model, the task, and a hash of the task's settings."""
    name = name_of(model) if isinstance(model, BaseChatModel) else model or "offline"
    settings = task.model_dump_json().encode()
    if any(subject.decision for subject in task.subjects):
        from langgraph_cooper.nodes.pairs.form import CONFIG
        from langgraph_cooper.nodes.subjects.decider import SHIPPED

        settings += (SHIPPED / CONFIG).read_bytes()  # candidates depend on what is read as a no
    digest = hashlib.sha256(settings).hexdigest()[:12]
    return f"{name}, {task.name} {digest}"


def _missing(
    dialogues: Sequence[Dialogue], annotated: Sequence[AnnotatedDialogue]
) -> list[Dialogue]:
    finished = {dialogue.id for dialogue in annotated}
    return [dialogue for dialogue in dialogues if dialogue.id not in finished]


def _relabel(out: Path, found: Sequence[AnnotatedDialogue], dialogues: Sequence[Dialogue]) -> int:
    """Write the data's present strategies, which no agent sees, into a file of annotations.

    Returns:
        The number of dialogues that had others.
    """
    labels = {dialogue.id: dialogue.utterances for dialogue in dialogues}
    fresh = [d.model_copy(update={"utterances": labels[d.id]}) for d in found]
    changed = sum(one != other for one, other in zip(found, fresh, strict=True))
    if changed:
        write_annotated(out, fresh)
    return changed


def _read(
    out: Path, task: TaskSpec, by: str, dialogues: Sequence[Dialogue]
) -> list[AnnotatedDialogue]:
    """Read the finished dialogues of a file.

    Raises:
        DataError: It cannot be read, or a line is not an annotation of these dialogues by `by`.
    """
    try:
        lines = finished_lines(out, _BEGINNING)
    except OSError as error:
        raise DataError(f"{out} cannot be read: {error.strerror}") from None
    except ValueError:
        raise DataError(
            f"{out} holds something else than annotated dialogues: {_ELSEWHERE}"
        ) from None
    known = {dialogue.id: dialogue for dialogue in dialogues}
    return [_parsed(f"{out}, line {number}", line, task, by, known) for number, line in lines]


def _parsed(
    place: str, line: bytes, task: TaskSpec, by: str, dialogues: Mapping[str, Dialogue]
) -> AnnotatedDialogue:
    """Parse a line and check that it annotates one of these dialogues, for this task, by `by`."""
    try:
        found = AnnotatedDialogue.model_validate_json(line)
    except ValidationError:
        raise DataError(f"{place}: not an annotated dialogue: {_ELSEWHERE}") from None
    states = set(found.final_states)
    if states != set(task.aspect_names):
        raise DataError(
            f"{place}: annotated with the aspects {', '.join(sorted(states))}, which are not the "
            f"task's: {_ELSEWHERE}"
        )
    if found.made_by not in ("", by):
        raise DataError(
            f"{place}: annotated by {found.made_by!r}, but these annotations are by {by!r}: "
            f"{_ELSEWHERE}"
        )
    if found.id not in dialogues:
        raise DataError(
            f"{place}: the dialogue {found.id!r} is not among those to annotate: {_ELSEWHERE}"
        )
    if found.history() != dialogues[found.id].history():
        raise DataError(
            f"{place}: the dialogue {found.id!r} has other utterances than in the data: "
            f"{_ELSEWHERE}"
        )
    return found
