"""What a task is: its roles, its goal, and the aspects that the goal is divided into.

A task is data. Everything that the graph, the agents and the offline backend need to know about a
kind of conversation stands in one `TaskSpec`, read from one TOML file or one folder (`load_task`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from langgraph_cooper.prompts.guard import GuardSettings
from langgraph_cooper.prompts.template import check_template

HOME = Path(__file__).parent
"""The folder of the shipped tasks and the shared prompts."""

PASSIVE = "passive"
"""The name that candidates outside every aspect carry (greeting, thanks, closing, small talk)."""

# Each aspect becomes a node and a state key of the graph, beside these.
RESERVED = frozenset(
    {PASSIVE, "messages", "cooper", "ranking", "intake", "coordinator", "generator", "guard"}
    | {"reply_guard", "review", "draft"}
    | {"tracker", "promoter", "progression"}
)

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=600)]
Role = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[A-Za-z][\w '-]{0,29}$")]
Side = Literal["user", "system"]


class _Part(BaseModel):
    """A frozen part of a task file, in which a misspelt field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Topic(_Part):
    """One entry of an aspect's topic bank: what to talk about, and ways to say it.

    Attributes:
        topic: The topic candidate, a brief content outline (paper, "aspect promoter").
        strategy: The dialogue strategy it uses, in the data set's words.
        say: Sentences that say it; `{subject}` stands for what the user is talking about.
        about: Ids of subjects: the topic is offered only when one of them is in play.
        rounds: First and, if there is one, last dialogue round (from 1) in which it is offered;
            None: always.
    """

    topic: Line
    strategy: Line
    say: tuple[Line, ...] = Field(min_length=1)
    about: tuple[Name, ...] = ()
    rounds: tuple[int] | tuple[int, int] | None = None

    @field_validator("say")
    @classmethod
    def _placeholders(cls, say: tuple[str, ...]) -> tuple[str, ...]:
        for form in say:
            if re.search(r"[{}]", form.replace("{subject}", "")):
                raise ValueError(f"the only placeholder of a form is {{subject}}: {form!r}")
        if all("{subject}" in form for form in say):
            raise ValueError("one form at least must do without {subject}")
        return say

    @field_validator("rounds")
    @classmethod
    def _ordered(cls, rounds: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if rounds and not 1 <= rounds[0] <= rounds[-1]:
            raise ValueError(f"the first and the last round, counted from 1, not {list(rounds)}")
        return rounds

    def offered_in(self, number: int) -> bool:
        """Whether the topic is offered in this dialogue round."""
        if not self.rounds:
            return True
        return self.rounds[0] <= number and (len(self.rounds) == 1 or number <= self.rounds[-1])


class Subject(_Part):
    """Something that users talk about.

    Attributes:
        id: What topics name in their `about`.
        phrase: A noun phrase for it, as it stands for `{subject}`.
        cues: Words of the user's that give it away, matched as whole words in any capitals.
        unless: Ids of subjects: an utterance that bears one of these is not about this one ("I
            don't think I will donate" refuses, though "I will donate" agrees).
        alone: While this subject is in play no topic about another is offered.
        ends: Ids of subjects that are out of play once this one comes up later: who agrees after
            all has refused no more.
        notice: What a language model that speaks is told while the subject is in play.
    """

    id: Name
    phrase: Line
    cues: tuple[Line, ...] = Field(min_length=1)
    unless: tuple[Name, ...] = ()
    alone: bool = False
    ends: tuple[Name, ...] = ()
    notice: Line | None = None


class PassiveKind(_Part):
    """A kind of turn that serves no aspect, such as a greeting.

    Attributes:
        name: What it is called.
        cues: Words in the user's last message that call for it; without any it is always possible.
        max_words: The message is taken as meant so only if it has at most this many words.
        opening: Offered on an empty conversation, and only there.
        due: What the user said wants this and nothing else first: a goodbye is answered with a
            goodbye, whatever else would help (Schegloff and Sacks 1973, "adjacency pairs"). Only
            where the message says little else.
        besides: That little: so many words besides the cue and such as "so much" may stand there.
        topics: What can be said then.
    """

    name: Name
    cues: tuple[Line, ...] = ()
    max_words: int | None = Field(default=None, ge=1)
    opening: bool = False
    due: bool = False
    besides: int = Field(default=2, ge=0)
    topics: tuple[Topic, ...] = Field(min_length=1)


class AspectSpec(_Part):
    """One aspect of the dialogue goal: what its specialised agent tracks, promotes and aims at.

    Attributes:
        name: The aspect; also the name of its agent's node and of its key in the state.
        summarise: What its tracker summarises; completes "Summarise ...".
        propose: What its promoter lists; completes "List m ...".
        strategies: The data set's strategies that promote it.
        listens_to: Whose sentences the offline tracker reads.
        cues: Sentences of the kind that the offline tracker should pick up.
        topics: The offline promoter's bank, and what a short list of an LLM's is padded from.
        unless: Ids of subjects: while one is in play, only topics about it are offered. Nobody who
            has said no is asked again.
        targets: Typical states at the end of good conversations, for a task without a trained
            ranker. A trained one carries target states of its own.
    """

    name: Name
    summarise: Line
    propose: Line
    strategies: tuple[Line, ...] = Field(min_length=1)
    listens_to: Literal["user", "system", "both"] = "both"
    cues: tuple[Line, ...] = ()
    topics: tuple[Topic, ...] = ()
    unless: tuple[Name, ...] = ()
    targets: tuple[Line, ...] = ()


def shared_prompt(kind: str) -> str:
    """The text of the prompt that tasks share unless they have their own."""
    return (HOME / f"{kind}.md").read_text(encoding="utf-8")


class Prompts(_Part):
    """The system prompts of the LLM backend, one for each module that asks an LLM."""

    tracker: str = Field(default_factory=lambda: shared_prompt("tracker"))
    promoter: str = Field(default_factory=lambda: shared_prompt("promoter"))
    generator: str = Field(default_factory=lambda: shared_prompt("generator"))

    @field_validator("tracker", "promoter", "generator")
    @classmethod
    def _check(cls, text: str, info: object) -> str:
        return check_template(info.field_name, text)  # type: ignore[attr-defined]


class TaskSpec(_Part):
    """A dialogue task, complete and consistent (paper, "Problem Formulation").

    Attributes:
        name: Short name, as in `cooper chat --task NAME`.
        title: What the conversation is, for people.
        goal: The complex goal that the system pursues, addressed to the system.
        user_role: What the person is called in prompts and transcripts.
        system_role: What the system is called there.
        opens: Who speaks first.
        m: Topic candidates per aspect.
        k: Top-ranked candidates that guide the next utterance (K in the paper).
        reply_words: A reply stays under this many words.
        aspects: The aspects, in the order in which a conversation tends to need them.
        passive: The kinds of turn that serve no aspect.
        passive_strategies: The data set's strategies that a passive candidate promotes.
        subjects: What users of this task talk about.
        echo: Ways for the offline generator to give back what it heard, with `{echo}` for the
            user's words turned round ("you lost your job").
        prompts: The LLM backend's system prompts.
    """

    name: Name
    title: Line
    goal: Line
    user_role: Role
    system_role: Role
    opens: Side = "user"
    m: int = Field(default=4, ge=1, le=20)
    k: int = Field(default=3, ge=1, le=20)
    reply_words: int = Field(default=40, ge=5, le=400)
    aspects: tuple[AspectSpec, ...] = Field(min_length=1)
    passive: tuple[PassiveKind, ...] = ()
    passive_strategies: tuple[Line, ...] = ()
    subjects: tuple[Subject, ...] = ()
    echo: tuple[Line, ...] = ()
    prompts: Prompts = Field(default_factory=Prompts)
    guard: GuardSettings | None = None

    @field_validator("guard", mode="before")
    @classmethod
    def _switch(cls, guard: object) -> object:
        """`guard = true` is a guard with its defaults."""
        return ({} if guard else None) if isinstance(guard, bool) else guard

    @property
    def aspect_names(self) -> tuple[str, ...]:
        """The aspects' names, in the task's order."""
        return tuple(aspect.name for aspect in self.aspects)

    def aspect(self, name: str) -> AspectSpec:
        """The aspect of this name.

        Raises:
            KeyError: The task has no such aspect.
        """
        return {aspect.name: aspect for aspect in self.aspects}[name]

    def promoted_by(self, strategies: Iterable[str]) -> frozenset[str]:
        """The aspects, and "passive", that an utterance with these strategies promotes."""
        return frozenset().union(*(self._promotes.get(name.lower(), ()) for name in strategies))

    def knows(self, strategy: str) -> bool:
        """Whether the task maps this strategy of a data set, in any capitals, to an aspect."""
        return strategy.lower() in self._promotes

    @cached_property
    def _promotes(self) -> dict[str, frozenset[str]]:
        table: dict[str, set[str]] = {}
        owners = [(aspect.name, aspect.strategies) for aspect in self.aspects]
        for owner, strategies in [*owners, (PASSIVE, self.passive_strategies)]:
            for strategy in strategies:
                table.setdefault(strategy.lower(), set()).add(owner)
        return {strategy: frozenset(names) for strategy, names in table.items()}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _distinct("aspects", self.aspect_names)
        _distinct("subjects", [subject.id for subject in self.subjects])
        _distinct("passive", [kind.name for kind in self.passive])
        if taken := RESERVED.intersection(self.aspect_names):
            raise ValueError(f"aspects: {sorted(taken)[0]!r} is a name the graph uses; rename it")
        known = {subject.id for subject in self.subjects}
        named = [(f"subjects.{s.id}.unless", s.unless) for s in self.subjects]
        named += [(f"subjects.{s.id}.ends", s.ends) for s in self.subjects]
        named += [(f"aspects.{a.name}.unless", a.unless) for a in self.aspects]
        for place, ids in named:
            if unknown := set(ids) - known:
                raise ValueError(f"{place}: {sorted(unknown)[0]!r} is no subject's id")
        banks = [(f"aspects.{a.name}", a.topics) for a in self.aspects]
        banks += [(f"passive.{kind.name}", kind.topics) for kind in self.passive]
        for place, topics in banks:
            _distinct(f"{place}.topics", [topic.topic.lower() for topic in topics])
            for topic in topics:
                if unknown := set(topic.about) - known:
                    raise ValueError(
                        f"{place}.topics: {topic.topic!r} is about {sorted(unknown)[0]!r}, "
                        "which is no subject's id"
                    )
        if any("{echo}" not in form for form in self.echo):
            raise ValueError("echo: every form needs the placeholder {echo}")
        return self


def _distinct(field: str, names: Iterable[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise ValueError(f"{field}: {name!r} stands there {count} times")
