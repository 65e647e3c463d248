"""What a task is: its roles, its goal, and the aspects that the goal is divided into.

A task is data. One `TaskSpec`, read from a file or a folder (`load_task`), holds everything that
the graph, the agents and the offline backend need to know about a kind of conversation.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    Field,
    Strict,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from langgraph_cooper.prompts.guard import GuardSettings, Part, Switch
from langgraph_cooper.prompts.template import check_template

HOME = Path(__file__).parent
"""The folder of the shipped tasks and the shared prompts."""

PASSIVE = "passive"
"""The aspect of candidates outside every aspect (greeting, thanks, closing, small talk)."""

# An aspect becomes a node and a state key of the graph, beside these.
RESERVED = frozenset(
    f"{PASSIVE} messages cooper ranking draft guard intake coordinator generator review "
    "reply_guard tracker promoter progression".split()
)

NAME, ROLE = r"^[a-z][a-z0-9_]{0,39}$", r"^[A-Za-z][\w '-]{0,29}$"
FORMS = {
    NAME: "use up to 40 of the letters a to z, digits and underscores, a letter first",
    ROLE: "use up to 30 letters, digits, spaces, hyphens and apostrophes, a letter first",
}
"""What an error says in place of a pattern."""
Name = Annotated[str, StringConstraints(pattern=NAME)]
Decision = Literal["agrees", "refuses"]
"""What a user may decide about what they are asked for."""
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=600)]
Role = Annotated[str, StringConstraints(strip_whitespace=True, pattern=ROLE)]
Side = Literal["user", "system"]
# Strict: `true` is no number.
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]


class Topic(Part):
    """One entry of an aspect's topic bank: what to talk about, and ways to say it.

    Attributes:
        topic: The topic candidate, a brief content outline (paper, "aspect promoter").
        strategy: The dialogue strategy it uses, in the data set's words.
        say: Sentences that say it; `{subject}` is replaced by what the user is talking about.
        about: Ids of subjects: the topic is offered only while one of them is in play.
        rounds: The first and, optionally, last dialogue round (from 1) in which it is offered;
            None: always.
        anytime: It presupposes nothing. Where the task has answers and the user's last words were
            not understood, only such topics are offered, and otherwise none of them.
        open_question: It presupposes nothing, and is due after words that were not understood if
            nothing was asked before them; it is not offered otherwise.
    """

    PLACEHOLDERS: ClassVar[tuple[str, ...]] = ("subject",)

    topic: Line
    strategy: Line
    say: tuple[Line, ...] = Field(min_length=1)
    about: tuple[Name, ...] = ()
    rounds: tuple[Whole, ...] | None = Field(default=None, min_length=1, max_length=2)
    anytime: Switch = False
    open_question: Switch = False

    @field_validator("say")
    @classmethod
    def _placeholders(cls, say: tuple[str, ...]) -> tuple[str, ...]:
        for form in say:
            plain = form
            for placeholder in cls.PLACEHOLDERS:
                plain = plain.replace(f"{{{placeholder}}}", "")
            if re.search(r"[{}]", plain):
                allowed = " or ".join(f"{{{name}}}" for name in cls.PLACEHOLDERS)
                raise ValueError(f"a form may have no other placeholder than {allowed}: {form!r}")
        if all("{subject}" in form for form in say):
            raise ValueError("at least one form must work without {subject}")
        return say

    @field_validator("rounds")
    @classmethod
    def _ordered(cls, rounds: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if rounds and not 1 <= rounds[0] <= rounds[-1]:
            raise ValueError(f"give the first and last round, counted from 1, not {list(rounds)}")
        return rounds

    def offered_in(self, number: int) -> bool:
        """Return whether the topic is offered in this dialogue round."""
        if not self.rounds:
            return True
        return self.rounds[0] <= number and (len(self.rounds) == 1 or number <= self.rounds[-1])


class Answer(Topic):
    """A prepared answer to one kind of message, whatever the aspects' states.

    Attributes:
        heard: Messages that it answers, in several wordings; others are recognised by meaning.
        amount: The message must name an amount in this range; `{amount}` is replaced by it.
    """

    PLACEHOLDERS: ClassVar[tuple[str, ...]] = ("subject", "amount")

    heard: tuple[Line, ...] = Field(min_length=1)
    amount: tuple[Number, Number] | None = None

    @field_validator("amount")
    @classmethod
    def _range(cls, amount: tuple[float, float] | None) -> tuple[float, float] | None:
        if amount and not 0 <= amount[0] <= amount[1]:
            raise ValueError(f"give the least and the greatest amount, not {list(amount)}")
        return amount


class Cues(Part):
    """Words of the user that show a subject, and what rules them out.

    A clause ends at a comma, a semicolon, or before a word such as "but" and "and". Cues with
    rules stand within one clause; others may reach over commas and sentences.

    Attributes:
        cues: Words of the user that show the subject, matched as whole words in upper or lower
            case.
        not_after: Words directly before a cue, in its clause, that rule it out: "it" hits me.
        not_under: Words that begin before a cue, in its clause, and rule it out: "don't think" that
            I can give.
        not_with: Words anywhere in a cue's sentence that rule it out: I would donate "if i had".
    """

    cues: tuple[Line, ...] = Field(min_length=1)
    not_after: tuple[Line, ...] = ()
    not_under: tuple[Line, ...] = ()
    not_with: tuple[Line, ...] = ()


class Subject(Cues):
    """Something that users talk about.

    Attributes:
        id: Its name in the `about`, `unless` and `ends` of others.
        phrase: The noun phrase that replaces `{subject}`.
        more: More cues, ruled out by more words: their own besides the subject's.
        unless: Ids of subjects that rule this one out in the same utterance ("I don't think
            I will donate" refuses, although "I will donate" agrees).
        alone: While this subject is in play, no topic about another one is offered.
        ends: Ids of earlier subjects that are over once this one comes up: a later agreement
            ends a refusal.
        notice: What the generator's language model is told while the subject is in play.
        decision: What the user decides about what they are asked for. A model then reads the
            message together with what was said before it; the cues count where it cannot be loaded.
    """

    id: Name
    phrase: Line
    more: tuple[Cues, ...] = ()
    unless: tuple[Name, ...] = ()
    alone: Switch = False
    ends: tuple[Name, ...] = ()
    notice: Line | None = None
    decision: Decision | None = None


class PassiveKind(Part):
    """A kind of turn that serves no aspect, such as a greeting.

    Attributes:
        name: The kind.
        cues: Words in the user's last message that call for it. Without any, and without `about`,
            it is always possible.
        about: Ids of subjects: a last message that mentions one of them calls for it.
        unless: Words that rule a cue of the same sentence out ("I never got to say goodbye").
        max_words: Maximum number of words in a message that calls for it.
        opening: Offered on an empty conversation, and only there.
        due: Answered before all else if the message says little more than a cue: a goodbye calls
            for a goodbye (Schegloff and Sacks 1973, "adjacency pairs").
        besides: For `due`: maximum number of extra words, fillers such as "so much" excluded,
            besides the cue.
        asked: Said to a question that was not understood, and only then.
        foreign: Said to a message in another language than English, and only then.
        topics: What can be said in reply.
    """

    name: Name
    cues: tuple[Line, ...] = ()
    about: tuple[Name, ...] = ()
    unless: tuple[Line, ...] = ()
    max_words: Whole | None = Field(default=None, ge=1)
    opening: Switch = False
    due: Switch = False
    besides: Whole = Field(default=2, ge=0)
    asked: Switch = False
    foreign: Switch = False
    topics: tuple[Topic, ...] = Field(min_length=1)


class AspectSpec(Part):
    """One aspect of the dialogue goal: what its specialised agent tracks, promotes and aims at.

    Attributes:
        name: The aspect; also its agent's node and its key in the state.
        summarise: What its tracker summarises; completes "Summarise ...".
        propose: What its promoter lists; completes "List m ...".
        strategies: The data set's strategies that promote it.
        unoffered: Those that no language model is offered, since they tell of a person's life.
        listens_to: Whose sentences the offline tracker reads.
        cues: Sentences of the kind that the offline tracker should notice.
        topics: The offline promoter's bank, which also fills a language model's short list.
        unless: Ids of subjects: while one is in play, only topics about it are offered, so that
            a person who has said no is not asked again.
        targets: Typical states at the end of good conversations, for a task without a trained
            ranker. A trained one has target states of its own.
    """

    name: Name
    summarise: Line
    propose: Line
    strategies: tuple[Line, ...] = Field(min_length=1)
    unoffered: tuple[Line, ...] = ()
    listens_to: Literal["user", "system", "both"] = "both"
    cues: tuple[Line, ...] = ()
    topics: tuple[Topic, ...] = ()
    unless: tuple[Name, ...] = ()
    targets: tuple[Line, ...] = ()

    @property
    def offered(self) -> tuple[str, ...]:
        """The strategies that a language model may name."""
        return tuple(name for name in self.strategies if name not in self.unoffered)

    @model_validator(mode="after")
    def _offers_some(self) -> Self:
        if unknown := set(self.unoffered).difference(self.strategies):
            raise ValueError(f"unoffered: {sorted(unknown)[0]!r} is none of the strategies")
        if not self.offered:
            raise ValueError("unoffered: these are all strategies; leave one to be offered")
        return self


def shared_prompt(kind: str) -> str:
    """Read the prompt of tasks without one of their own."""
    return (HOME / f"{kind}.md").read_text(encoding="utf-8")


class Prompts(Part):
    """The system prompts of the LLM backend, one for each step that asks a language model.

    `earlier` ends the generator's where the beginning of the dialogue is left out.
    """

    tracker: str = Field(default_factory=lambda: shared_prompt("tracker"))
    promoter: str = Field(default_factory=lambda: shared_prompt("promoter"))
    generator: str = Field(default_factory=lambda: shared_prompt("generator"))
    earlier: str = Field(default_factory=lambda: shared_prompt("earlier"))

    @field_validator("tracker", "promoter", "generator", "earlier")
    @classmethod
    def _check(cls, text: str, info: ValidationInfo) -> str:
        return check_template(info.field_name or "", text)


class TaskSpec(Part):
    """A dialogue task, complete and consistent (paper, "Problem Formulation").

    Attributes:
        name: Short name, as in `cooper chat --task NAME`.
        title: A description of the conversation for people.
        goal: The complex goal that the system pursues, addressed to the system.
        user_role: What the person is called in prompts and transcripts.
        system_role: What the system is called there.
        opens: Who speaks first.
        m: Topic candidates per aspect.
        k: Top-ranked candidates that guide the next utterance (K in the paper).
        reply_words: A reply has fewer words than this.
        aspects: The aspects, in the order in which a conversation tends to need them.
        passive: The kinds of turn that serve no aspect.
        answers: Prepared answers to what users say; the offline agents propose them.
        passive_strategies: The data set's strategies that a passive candidate promotes.
        subjects: What users of this task talk about.
        echo: Ways for the offline generator to give back what it heard; `{echo}` is replaced by
            the user's words in the second person ("you lost your job").
        prompts: The LLM backend's system prompts.
        guard: The safety guard; None: the task has none.
    """

    name: Name
    title: Line
    goal: Line
    user_role: Role
    system_role: Role
    opens: Side = "user"
    m: Whole = Field(default=4, ge=1, le=20)
    k: Whole = Field(default=3, ge=1, le=20)
    reply_words: Whole = Field(default=40, ge=5, le=400)
    aspects: tuple[AspectSpec, ...] = Field(min_length=1)
    passive: tuple[PassiveKind, ...] = ()
    answers: tuple[Answer, ...] = ()
    passive_strategies: tuple[Line, ...] = ()
    subjects: tuple[Subject, ...] = ()
    echo: tuple[Line, ...] = ()
    prompts: Prompts = Field(default_factory=Prompts)
    guard: GuardSettings | None = None

    @field_validator("guard", mode="before")
    @classmethod
    def _switch(cls, guard: object) -> object:
        if not isinstance(guard, bool | Mapping | GuardSettings | None):
            known = ", ".join(GuardSettings.model_fields)
            told = f"write true, false, or a table with the fields {known}"
            raise ValueError(told)  # noqa: TRY004 (pydantic takes no TypeError)
        return ({} if guard else None) if isinstance(guard, bool) else guard

    @property
    def aspect_names(self) -> tuple[str, ...]:
        """The aspects' names, in the task's order."""
        return tuple(aspect.name for aspect in self.aspects)

    def aspect(self, name: str) -> AspectSpec:
        """Return the aspect of this name.

        Raises:
            KeyError: The task has no such aspect.
        """
        return {aspect.name: aspect for aspect in self.aspects}[name]

    def promoted_by(self, strategies: Iterable[str]) -> frozenset[str]:
        """Return the aspects, and "passive", that an utterance with these strategies promotes."""
        return frozenset().union(*(self._promotes.get(name.lower(), ()) for name in strategies))

    def knows(self, strategy: str) -> bool:
        """Return whether the task maps this strategy, in upper or lower case, to an aspect."""
        return strategy.lower() in self._promotes

    def owner(self, strategy: str) -> str:
        """Return the aspect of a prepared answer with this strategy, or "passive"."""
        promoted = self.promoted_by([strategy])
        if PASSIVE in promoted:
            return PASSIVE
        return next((name for name in self.aspect_names if name in promoted), PASSIVE)

    def without_answers(self) -> Self:
        """Return the task without prepared answers, as a language model and annotation use it."""
        return self.model_copy(update={"answers": ()})

    @cached_property
    def _promotes(self) -> dict[str, set[str]]:
        table: dict[str, set[str]] = {}
        owners = [(aspect.name, aspect.strategies) for aspect in self.aspects]
        for owner, strategies in [*owners, (PASSIVE, self.passive_strategies)]:
            for strategy in strategies:
                table.setdefault(strategy.lower(), set()).add(owner)
        return table

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if taken := RESERVED.intersection(self.aspect_names):
            raise ValueError(f"aspects: {sorted(taken)[0]!r} is a name the graph uses; rename it")
        ids = [subject.id for subject in self.subjects]
        banks = [(f"aspects.{aspect.name}.topics", aspect.topics) for aspect in self.aspects]
        banks += [(f"passive.{kind.name}.topics", kind.topics) for kind in self.passive]
        banks.append(("answers", self.answers))
        self._check_strategies(banks)
        self._check_open_questions()
        named = [(place, [topic.topic.lower() for topic in topics]) for place, topics in banks]
        named += [("aspects", list(self.aspect_names)), ("subjects", ids)]
        named += [("passive", [kind.name for kind in self.passive])]
        for place, names in named:
            for name, count in Counter(names).items():
                if count > 1:
                    raise ValueError(f"{place}: {name!r} is there {count} times; name it once")
        referring = [(f"aspects.{aspect.name}.unless", aspect.unless) for aspect in self.aspects]
        referring += [(f"passive.{kind.name}.about", kind.about) for kind in self.passive]
        for subject in self.subjects:
            referring.append((f"subjects.{subject.id}.unless", subject.unless))
            referring.append((f"subjects.{subject.id}.ends", subject.ends))
        referring += [(f"{place}: {t.topic!r}: about", t.about) for place, ts in banks for t in ts]
        for place, subjects in referring:
            if unknown := set(subjects).difference(ids):
                raise ValueError(f"{place}: {sorted(unknown)[0]!r} is not the id of a subject")
        if any("{echo}" not in form for form in self.echo):
            raise ValueError("echo: every form needs the placeholder {echo}")
        return self

    def _check_strategies(self, banks: Iterable[tuple[str, Sequence[Topic]]]) -> None:
        """Refuse strategies that the task does not map to an aspect: they are misspelt.

        A task without passive strategies may call those of its passive topics as it likes.
        """
        for place, topics in banks:
            free = place.startswith(f"{PASSIVE}.") and not self.passive_strategies
            for topic in topics:
                if not free and not self.knows(topic.strategy):
                    raise ValueError(
                        f"{place}: {topic.topic!r}: the strategy {topic.strategy!r} is neither an "
                        f"aspect's nor a passive one; name one of {self._likely(topic.strategy)}"
                    )

    def _likely(self, strategy: str) -> str:
        """Return the strategy that was probably meant, or else all of them."""
        owners = [aspect.strategies for aspect in self.aspects]
        known = list(dict.fromkeys([*(s for ss in owners for s in ss), *self.passive_strategies]))
        near = get_close_matches(strategy, known, n=1)
        return f"those, such as {near[0]!r}" if near else ", ".join(map(repr, known))

    def _check_open_questions(self) -> None:
        elsewhere = [*self.answers, *(topic for kind in self.passive for topic in kind.topics)]
        offered = [topic for aspect in self.aspects for topic in aspect.topics]
        for topic in elsewhere:
            if topic.open_question:
                raise ValueError(
                    f"{topic.topic!r}: open_question is for an aspect's topics; remove it"
                )
        for topic in offered:
            if topic.open_question and topic.anytime:
                raise ValueError(
                    f"{topic.topic!r}: a topic is offered anytime or as an open question; remove "
                    "one of them"
                )
            if topic.open_question and not self.answers:
                raise ValueError(
                    f"{topic.topic!r}: an open question is due where no prepared answer fits; add "
                    "[[answers]], or remove open_question"
                )
