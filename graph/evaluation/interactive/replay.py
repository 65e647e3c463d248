"""Runs a recorded conversation again, from what the models answered, and compares the states."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langgraph_cooper.graph.evaluation.interactive.hold import GOODBYE, SILENCE
from langgraph_cooper.graph.evaluation.interactive.recording import (
    ENDPOINT,
    ModelAt,
    ReplayError,
    Tape,
    replayed,
    replaying_client,
    silent_client,
    taped,
)
from langgraph_cooper.graph.evaluation.interactive.redact import REDACTED
from langgraph_cooper.graph.evaluation.interactive.rows import Conversation, Said, plain
from langgraph_cooper.graph.evaluation.interactive.systems import (
    COMMAND,
    Answer,
    Model,
    System,
    make_system,
    needs_model,
)
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.nodes.llm.quirks import forget
from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.ranker.data.dialogue import DataError, Utterance

WEIGHTS = re.compile(r" (?:[0-9a-f]{64}(?: .*)?)?$", re.DOTALL)
"""What follows the spec in a pipeline's identity: the hash of its weights, and its chat model."""


@dataclass(frozen=True)
class ReplayedTurn:
    """A turn of the system, run again.

    Attributes:
        number: From 1.
        differs: The first part that is not as recorded: "text", "fault" or a key of `why`; empty:
            none is.
        was: That part as recorded.
        now: That part now.
    """

    number: int
    differs: str
    was: Any = None
    now: Any = None


class Replay:
    """Runs a conversation's system again; the user's words are those of the record.

    Args:
        row: The conversation.
        settings: The file's settings.
        task: The task.

    Raises:
        DataError: The task is another one, the texts are redacted, or a program's answers cannot
            be made again.
    """

    def __init__(self, row: Conversation, settings: Mapping[str, Any], task: TaskSpec) -> None:
        self._row, self._task = row, task
        self.missing = 0
        if settings.get("task") != task.name:
            raise DataError(
                f"the record is of the task {settings.get('task')!r}: pass --task with it"
            )
        if settings.get(REDACTED):
            raise DataError("the record's texts are redacted: it shows the course and no more")
        if by_program(row):
            raise DataError(
                f"the system {row.system!r} is a program, whose answers are in the record but "
                "cannot be made again from it"
            )
        self._limits = CooperContext(**settings.get("limits", {}))

    async def run(self) -> list[ReplayedTurn]:
        """Run the system's turns and compare each with the record, up to the first difference.

        Raises:
            VoiceError: The fine-tuned generator's checkpoint is missing.
        """
        turns = [*self._turns()]
        if not turns:
            return []  # such a record names no model that a system could be made with
        forget()  # what was learnt about a server's habits belongs to other conversations
        tape = Tape(self._row.record)
        found = []
        async with (
            _system(self._row, self._task, self._limits) as system,
            system.begin(self._row.key) as talk,
        ):
            for number, (history, said) in enumerate(turns, start=1):
                with taped(tape):
                    now = await _answer(talk, history)
                found.append(_compared(number, said, now))
                if found[-1].differs:
                    break  # what follows would differ for that reason
        self.missing = tape.missing
        return found

    def _turns(self) -> Iterator[tuple[list[Utterance], Said | None]]:
        """Yield each history that the system got, with its answer; None where it failed.

        An answer without a text is silence, of which no more is known.
        """
        history: list[Utterance] = []
        for said in self._row.said:
            if said.speaker == "system":
                yield [*history], said
            history.append(Utterance(said.speaker, said.text))
        if self._row.ended.how.startswith("system:"):
            yield history, None
        elif _ends_in_silence(self._row):
            yield history, Said(speaker="system", text="")


def by_program(row: Conversation) -> bool:
    """Return whether the system was a program, which cannot be run again from the record."""
    return spec_of(row).startswith(COMMAND)


def spec_of(row: Conversation) -> str:
    """Return what a row's system was named by: its identity without what the system is made of.

    Spaces tell nothing: a goal, the name of a model and a program's arguments may have some.
    """
    identity, at = row.identity, row.record.get("model")
    first = identity.split(" ")[0]
    if identity.startswith(COMMAND):
        return identity
    if not identity.startswith(ENDPOINT) and "?" not in first:
        return first or row.system
    if not identity.startswith(ENDPOINT) and (found := WEIGHTS.search(identity)):
        return identity[: found.start()]
    if at and identity.endswith(told := f" {ModelAt.model_validate(at).identity}"):
        return identity.removesuffix(told)
    if identity.startswith(ENDPOINT) or needs_model(first):
        return identity.rsplit(" ", 3)[0]  # no model answered: its name, address and temperature
    return identity


def _ends_in_silence(row: Conversation) -> bool:
    """Return whether the system's last answer was empty; the user may have left before it."""
    ended = (row.ended.by, row.ended.how)
    unanswered = bool(row.said) and row.said[-1].speaker == "user"
    return ended == ("system", SILENCE) or (unanswered and ended == ("user", GOODBYE))


@asynccontextmanager
async def _system(
    row: Conversation, task: TaskSpec, limits: CooperContext
) -> AsyncIterator[System]:
    spec, at = spec_of(row), row.record.get("model")
    async with replaying_client() as client:
        with silent_client() as probe:
            model = None
            if at:
                named = ModelAt.model_validate(at)
                model = Model(replayed(named, client, probe), named)
            if model is None and spec.startswith(ENDPOINT):
                raise ReplayError("the record names no model of its endpoint")
            yield make_system(row.system, spec, task, model, limits)


async def _answer(talk: Any, history: list[Utterance]) -> Answer | str:
    try:
        answer: Answer = await talk.answer(history)
    except (ModelError, ReplayError) as error:
        return getattr(error, "kind", str(error))
    return answer


def _compared(number: int, was: Said | None, now: Answer | str) -> ReplayedTurn:
    if was is None or isinstance(now, str):
        told = "an answer" if isinstance(now, Answer) else now
        if was is None and isinstance(now, str):
            return ReplayedTurn(number, "")
        return ReplayedTurn(number, "fault", "an answer" if was else "a fault", told)
    if not was.text and not now.text.strip():
        return ReplayedTurn(number, "")  # why a system is silent is not in the record
    if was.text != now.text:
        return ReplayedTurn(number, "text", was.text, now.text)
    found = plain(now.why)
    # The state's digest comes last: any part that shows the difference says more.
    for name in sorted({*was.why, *found}, key=lambda name: (name == "state", name)):
        if was.why.get(name) != found.get(name):
            return ReplayedTurn(number, name, was.why.get(name), found.get(name))
    return ReplayedTurn(number, "")


def chosen(rows: list[Conversation], key: str | None, file: Path) -> list[Conversation]:
    """Return the conversations whose key begins so; all without a key.

    Raises:
        DataError: There is none.
    """
    found = [row for row in rows if row.key.startswith(key or "")]
    if not found:
        raise DataError(f"{file} has no conversation whose key begins with {key!r}")
    return found
