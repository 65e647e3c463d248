"""Simulated users: a chat model that plays a role, and a small model trained on users' words."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langgraph_cooper.graph.evaluation.interactive.rows import (
    Conversation,
    Problem,
    digest,
    problem_of,
)
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.finetuned.checkpoint import VoiceCheckpoint, open_voice, shipped_voice
from langgraph_cooper.nodes.finetuned.errors import VoiceError
from langgraph_cooper.nodes.finetuned.users import Manner, user_given
from langgraph_cooper.nodes.language.history import clean
from langgraph_cooper.nodes.language.text import words
from langgraph_cooper.nodes.language.thoughts import strip_thoughts
from langgraph_cooper.nodes.llm.backend import PROMPT_UTTERANCES, WORD_TOKENS, bounded
from langgraph_cooper.nodes.llm.call import Question, UnreadableError, ask
from langgraph_cooper.nodes.llm.material import delimited, prompt_line, transcript
from langgraph_cooper.nodes.llm.parsing import NOTHING
from langgraph_cooper.prompts import TaskSpec, fill
from langgraph_cooper.prompts.task import shared_prompt
from langgraph_cooper.ranker.data.dialogue import Utterance
from langgraph_cooper.ranker.data.roles import Role

if TYPE_CHECKING:
    from langgraph_cooper.nodes.finetuned.engine import Engine

LOG = logging.getLogger(__name__)
TRAINED = "trained"
END = re.compile(r"\[/?END\]", re.IGNORECASE)
WORDS = 50
"""Words of a prompted user's utterance, at most."""
DRAWS = 3
"""Times that a trained user draws until it says something."""
SAMPLES = 4
"""Utterances of a draw, of which the manner chooses one."""
PLEASED = re.compile(
    r"\b(?:thanks?|thank you|appreciate|yes|yeah|yep|sure|ok(?:ay)?|great|good|nice|glad|happy|"
    r"agree|love|helpful|helps|i will|i'll|i would like|i'd like|wonderful|right)\b",
    re.IGNORECASE,
)
"""Words of consent and thanks, which a resistant user says seldom."""

MANNERS: Mapping[Manner, str] = {
    "cooperative": "open and willing; answers what is asked and goes along with what makes sense.",
    "reserved": "says little, a few words at a time, and tells what matters only when it is asked "
    "about with care.",
    "resistant": "doubtful; does not take up advice or arguments at once, objects, and gives in "
    "only to what really speaks to this person, which may never come.",
}


class UserSaid(NamedTuple):
    """A user's utterance; an empty text is silence.

    Attributes:
        text: What is said.
        leaves: Whether the user ends the conversation with it.
    """

    text: str
    leaves: bool = False


class User(Protocol):
    """A simulated user; one object plays all roles."""

    @property
    def identity(self) -> str:
        """Tells it from other users."""

    @property
    def calls(self) -> int:
        """Calls of a chat model in a turn."""

    def prepare(self) -> None:
        """Load what it speaks with, so that what is missing is said before the first turn.

        Raises:
            VoiceError: The trained model cannot be loaded.
        """

    async def say(
        self, role: Role, manner: Manner, history: Sequence[Utterance], seed: int
    ) -> UserSaid:
        """Say the next utterance.

        Raises:
            ModelError: The chat model fails.
            VoiceError: The trained model cannot be run.
        """


class SameStart:
    """A user whose first words about a problem are the same to every system.

    Pairs then begin alike: what differs is the systems' doing. Where the system opens, the user
    answers each opening anew.

    Args:
        user: The user.
        held: Conversations that are there: a run that goes on takes their first words.
    """

    def __init__(self, user: User, held: Sequence[Conversation]) -> None:
        self._user = user
        began = {each.problem: _first_words(each) for each in held}
        self._begun = {problem: words for problem, words in began.items() if words is not None}
        self._asking: defaultdict[Problem, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def identity(self) -> str:
        """That of the user."""
        return self._user.identity

    @property
    def calls(self) -> int:
        """Those of the user."""
        return self._user.calls

    def prepare(self) -> None:
        """Prepare the user."""
        self._user.prepare()

    async def say(
        self, role: Role, manner: Manner, history: Sequence[Utterance], seed: int
    ) -> UserSaid:
        """Say the next utterance."""
        if history:
            return await self._user.say(role, manner, history, seed)
        problem = problem_of(role, manner, seed)
        async with self._asking[problem]:
            if problem not in self._begun:
                self._begun[problem] = await self._user.say(role, manner, history, seed)
        return self._begun[problem]


def _first_words(held: Conversation) -> UserSaid | None:
    """Return what the user began with; None: the system began, or nobody could."""
    if not held.said:
        is_silent = held.ended.how == "silence"
        return UserSaid("", leaves=not is_silent) if held.ended.by == "user" else None
    first = held.said[0]
    return UserSaid(first.text, bool(first.why.get("leaves"))) if first.speaker == "user" else None


class _Given(NamedTuple):
    role: Role
    manner: Manner
    history: Sequence[Utterance]


@dataclass(frozen=True)
class PromptedUser:
    """A chat model that plays a role."""

    task: TaskSpec
    model: BaseChatModel
    identity: str
    limits: CooperContext
    calls: int = 1

    def prepare(self) -> None:
        """Do nothing: a chat model is elsewhere."""

    async def say(
        self, role: Role, manner: Manner, history: Sequence[Utterance], seed: int
    ) -> UserSaid:
        """Ask the model for the next utterance; the seed is not used."""
        question: Question[_Given, UserSaid] = Question(
            "generator",
            self.task.aspect_names,
            self.model,
            self.model,
            lambda given: user_prompt(self.task, *given),
            lambda _, answer: read_user(self.task, answer),
            None,
            lambda _: round(2 * WORD_TOKENS * WORDS),
        )
        step = ask(replace(question, outside=self.limits))
        return await step.ainvoke(_Given(role, manner, [*history]))


def user_prompt(
    task: TaskSpec, role: Role, manner: Manner, history: Sequence[Utterance]
) -> list[BaseMessage]:
    """Return the prompt of a user's next utterance."""
    values = {
        "title": task.title,
        "user_role": task.user_role,
        "system_role": task.system_role,
        "manner": MANNERS[manner],
        "words": WORDS,
    }
    system = SystemMessage(fill(shared_prompt("user"), values))

    def written(said: Sequence[Utterance]) -> list[BaseMessage]:
        blocks = [
            delimited("person", prompt_line(role.text)),
            delimited("dialogue", transcript(task, said) or NOTHING),
        ]
        return [system, HumanMessage("\n\n".join(blocks))]

    return bounded(written, [*history][-PROMPT_UTTERANCES:])


def read_user(task: TaskSpec, answer: AIMessage) -> UserSaid:
    """Read a user's utterance, without the name and the quotation marks that models add.

    Raises:
        UnreadableError: Nothing is said.
    """
    text = strip_thoughts(answer.text)
    leaves = bool(END.search(text))
    text = clean(END.sub(" ", text).replace(NOTHING, " "))  # a weak model repeats the prompt
    text = re.sub(rf"^{re.escape(task.user_role)}\s*:\s*", "", text, flags=re.IGNORECASE)
    text = text.strip().strip('"').strip()
    if not text and not leaves:
        raise UnreadableError("That says nothing. Answer with the utterance.")
    return UserSaid(text, leaves)


@dataclass(frozen=True)
class TrainedUser:
    """A small model that was trained on users' words; it needs no chat model."""

    checkpoint: VoiceCheckpoint
    calls: int = 0

    @property
    def identity(self) -> str:
        """Its weights and those of its base, and how it speaks."""
        made_of = self.checkpoint.config
        return f"{TRAINED} {made_of.weights_sha256} {made_of.base_sha256} by manner"

    @cached_property
    def _engine(self) -> Engine:
        from langgraph_cooper.nodes.finetuned.engine import load_engine

        return load_engine(self.checkpoint, notice=LOG.warning)

    def prepare(self) -> None:
        """Load the model; its quick copy is made if it is not there."""
        _ = self._engine

    async def say(
        self, role: Role, manner: Manner, history: Sequence[Utterance], seed: int
    ) -> UserSaid:
        """Draw some utterances and say the one that suits the manner.

        The model was shown signs of manner and has not learnt them (docs/interactive.md), so that
        the manner has to choose.
        """
        from langgraph_cooper.nodes.finetuned.engine import Sampling

        given = user_given(history, role.text, manner)
        for draw in range(DRAWS):
            made_of = digest(seed, role.id, manner, len(history), draw)
            found = await asyncio.to_thread(
                self._engine.sample, [given], Sampling(samples=SAMPLES), seed=int(made_of[:7], 16)
            )
            if texts := [text for text in map(clean, found[0]) if text]:
                return UserSaid(in_manner(manner, texts))
        return UserSaid("")


def in_manner(manner: Manner, texts: Sequence[str]) -> str:
    """Return the utterance that suits a manner best, the first one of equals.

    Args:
        manner: A cooperative user says most, a reserved one least, and a resistant one what
            consents and thanks least for its length.
        texts: Utterances, at least one.
    """
    if manner == "cooperative":
        return max(texts, key=lambda text: len(words(text)))
    if manner == "reserved":
        return min(texts, key=lambda text: len(words(text)))
    return min(texts, key=lambda text: len(PLEASED.findall(text)) / (len(words(text)) + 1))


def trained_user(task: TaskSpec, adapter: Path | None) -> TrainedUser:
    """Find a trained user; it is loaded when it is prepared or first speaks.

    Args:
        task: The task that it was trained for.
        adapter: Its folder; None: the one that is shipped for the task.

    Raises:
        VoiceError: There is none, or it was trained for something else.
    """
    aspects = task.aspect_names
    checkpoint = open_voice(adapter) if adapter else shipped_voice(task.name, aspects, "user")
    if checkpoint is None:
        raise VoiceError(
            f"no trained user is shipped for the task {task.name!r}: train one with "
            f"`cooper train generator --speaker user --task {task.name} --data DIALOGUES --output "
            "FOLDER` and pass --user-adapter FOLDER, or let a chat model play the user "
            "(--user MODEL)"
        )
    checkpoint.check_task(task.name, aspects, "user")
    return TrainedUser(checkpoint)
