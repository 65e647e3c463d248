"""Holds one conversation of a system with a simulated user, and says how it ended."""

from __future__ import annotations

from dataclasses import dataclass

from langgraph_cooper.graph.evaluation.interactive.recording import Tape, taped
from langgraph_cooper.graph.evaluation.interactive.rows import Conversation, Ended, Said, digest
from langgraph_cooper.graph.evaluation.interactive.systems import System, Talk
from langgraph_cooper.graph.evaluation.interactive.users import User, UserSaid
from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.nodes.finetuned.users import Manner
from langgraph_cooper.nodes.language.text import contains_phrase, sentences, words
from langgraph_cooper.nodes.offline.passive import calls_for
from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.ranker.data.dialogue import Speaker, Utterance
from langgraph_cooper.ranker.data.roles import Role

GOODBYE, SILENCE, AT_ONCE, ROUNDS = "goodbye", "silence", "at once", "rounds"
CLOSING = "closing"
"""The kind of passive turn that knows how people say goodbye."""
LAST = 3
"""Sentences at the end of a user's utterance in which a goodbye may stand."""
FEW = 6
"""Words of a system's goodbye besides a cue, at most: advice may hold "take care" too."""


@dataclass(frozen=True)
class Planned:
    """A conversation to be held.

    Attributes:
        role: Whom the user plays.
        manner: How.
        system: Who talks with the user.
        seed: Of everything random.
        rounds: Utterances of the user, at most.
        settings: A hash of all else that it is made from.
    """

    role: Role
    manner: Manner
    system: System
    seed: int
    rounds: int
    settings: str

    @property
    def key(self) -> str:
        """A hash of all that the conversation is made from."""
        role = self.role.model_dump()
        return digest(role, self.manner, self.system.name, self.system.identity, self.seed,
                      self.rounds, self.settings)  # fmt: skip


async def hold(planned: Planned, user: User, task: TaskSpec) -> Conversation:
    """Hold a conversation.

    A model or program that fails ends it: the row then says so, and a further run holds it again.

    Args:
        planned: What is to be held.
        user: The simulated user.
        task: The task.

    Raises:
        ModelError: A person must mend something, such as a refused key.
        DataError: A program cannot be run.
        VoiceError: A trained model cannot be run.
    """
    holding = _Holding(planned, user, task)
    tape = Tape()
    async with planned.system.begin(planned.key) as talk:
        try:
            ended = await holding.run(talk, tape)
        except _FaultError as fault:
            ended = fault.ended
    return Conversation(
        key=planned.key, role=planned.role, manner=planned.manner, system=planned.system.name,
        identity=planned.system.identity, seed=planned.seed, said=tuple(holding.said), ended=ended,
        record=tape.record(),
    )  # fmt: skip


class _FaultError(Exception):
    def __init__(self, side: Speaker, error: ModelError) -> None:
        super().__init__(str(error))
        self.ended = Ended(by="fault", how=f"{side}: {error.kind}", told=str(error))


class _Holding:
    """A conversation while it is held."""

    def __init__(self, planned: Planned, user: User, task: TaskSpec) -> None:
        self._planned, self._user, self._task = planned, user, task
        self.said: list[Said] = []

    @property
    def _history(self) -> list[Utterance]:
        return [Utterance(each.speaker, each.text) for each in self.said]

    async def run(self, talk: Talk, tape: Tape) -> Ended:
        if self._task.opens == "system" and (ended := await self._system(talk, tape)):
            return ended
        for _ in range(self._planned.rounds):
            found = await self._next()
            if not found.text:
                how = GOODBYE if found.leaves else SILENCE
                return self._left("user", how)
            leaves = found.leaves or says_goodbye(self._task, found.text)
            self.said.append(Said(speaker="user", text=found.text, why={"leaves": leaves}))
            first = len([each for each in self.said if each.speaker == "user"]) == 1
            if leaves and first:
                return Ended(by="user", how=AT_ONCE)
            ended = await self._system(talk, tape)
            if leaves:
                return Ended(by="user", how=GOODBYE)
            if ended:
                return ended
        return Ended(by="limit", how=ROUNDS)

    def _left(self, side: Speaker, how: str) -> Ended:
        own = [each for each in self.said if each.speaker == side]
        return Ended(by=side, how=how if own or how == SILENCE else AT_ONCE)

    async def _next(self) -> UserSaid:
        planned = self._planned
        if planned.role.opening and not any(each.speaker == "user" for each in self.said):
            return UserSaid(planned.role.opening)
        try:
            return await self._user.say(planned.role, planned.manner, self._history, planned.seed)
        except ModelError as error:
            raise _fault_or_raise("user", error) from None

    async def _system(self, talk: Talk, tape: Tape) -> Ended | None:
        try:
            with taped(tape):
                answer = await talk.answer(self._history)
        except ModelError as error:
            raise _fault_or_raise("system", error) from None
        first = not any(each.speaker == "system" for each in self.said)
        if not answer.text.strip():
            return Ended(by="system", how=SILENCE)
        self.said.append(Said(speaker="system", text=answer.text, why=answer.why))
        if not leaves(self._task, answer.text):
            return None
        return Ended(by="system", how=AT_ONCE if first else GOODBYE)


def _fault_or_raise(side: Speaker, error: ModelError) -> Exception:
    return _FaultError(side, error) if error.passing else error


def says_goodbye(task: TaskSpec, text: str) -> bool:
    """Return whether a user's utterance ends with a goodbye, by the task's own cues."""
    end = sentences(text)[-LAST:]
    if not end or end[-1].endswith("?"):
        return False
    closing = (kind for kind in task.passive if kind.name == CLOSING)
    return any(calls_for(kind, " ".join(end)) for kind in closing)


def leaves(task: TaskSpec, text: str) -> bool:
    """Return whether a system's utterance is a goodbye and little else, and asks nothing."""
    if text.rstrip().endswith("?"):
        return False
    cues = [cue for kind in task.passive if kind.name == CLOSING for cue in kind.cues]
    found = [cue for cue in cues if contains_phrase(text, cue)]
    longest = max((len(words(cue)) for cue in found), default=0)
    return bool(found) and len(words(text)) - longest <= FEW
