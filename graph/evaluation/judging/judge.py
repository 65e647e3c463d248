"""A chat model as the judge: one dimension at a time, in both orders, at temperature 0."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langgraph_cooper.graph.evaluation.in_parallel import in_parallel
from langgraph_cooper.graph.evaluation.interactive.rows import digest
from langgraph_cooper.graph.evaluation.kept import KeptRows
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.nodes.language.thoughts import strip_thoughts
from langgraph_cooper.nodes.llm.call import Question, UnreadableError, ask
from langgraph_cooper.nodes.llm.material import delimited, fitting, transcript
from langgraph_cooper.prompts import TaskSpec, fill
from langgraph_cooper.prompts.task import shared_prompt
from langgraph_cooper.ranker.data.dialogue import Utterance

Choice = Literal["first", "second", "tie", "refused", "unreadable"]
JUDGEMENTS = "judgements"
"""What a file of a judge's answers says that it holds."""
READABLE: tuple[Choice, ...] = ("first", "second", "tie")
LONGEST = 12
"""Words of an answer that is no prose."""
TOKENS = 40
Word = Literal["first", "second", "tie"]
WORDS: Mapping[str, Word] = {
    "first": "first", "1": "first", "one": "first", "a": "first",
    "second": "second", "2": "second", "two": "second", "b": "second",
    "tie": "tie", "tied": "tie", "draw": "tie", "equal": "tie", "neither": "tie", "both": "tie",
}  # fmt: skip
STRONG: Mapping[str, Word] = {"first": "first", "second": "second", "tie": "tie"}
OF_ONE_ANSWER = ("refusal", "nonsense", "cut")
"""Faults that belong to an answer; others pass, and the same command asks again."""

Talk = Sequence[Utterance]


class Matter(NamedTuple):
    """A comparison in one dimension.

    Attributes:
        key: Unique among the matters of a file.
        dimension: Its name.
        question: What it asks.
        one: A conversation.
        other: Another.
    """

    key: str
    dimension: str
    question: str
    one: Talk
    other: Talk


class Verdict(NamedTuple):
    """A judge's two answers to a matter: as it is, and with the conversations swapped."""

    straight: Choice
    swapped: Choice

    @property
    def result(self) -> int | None:
        """1: the one won in both orders; -1: the other; 0: neither; None: not judged."""
        if self.straight not in READABLE or self.swapped not in READABLE:
            return None
        if (self.straight, self.swapped) == ("first", "second"):
            return 1
        return -1 if (self.straight, self.swapped) == ("second", "first") else 0

    @property
    def flipped(self) -> bool:
        """Whether a place won in both orders: the answer goes by it and not by the contents."""
        return self.straight == self.swapped and self.straight in ("first", "second")


@dataclass(frozen=True)
class _Asked:
    matter: Matter
    swapped: bool

    @property
    def key(self) -> str:
        """A hash of all that is asked: a matter that is made again may hold other words."""
        return digest(*self.matter, self.swapped)


class Judge:
    """Asks a chat model, and keeps its answers in a file that a stopped run goes on with.

    Args:
        task: The task.
        model: The chat model, at temperature 0.
        kept: The file of its answers.
        limits: Has the deadline and the number of calls of each question.
    """

    def __init__(
        self, task: TaskSpec, model: BaseChatModel, kept: KeptRows, limits: CooperContext
    ) -> None:
        self._kept = kept
        question: Question[_Asked, Choice] = Question(
            "generator",
            task.aspect_names,
            model,
            model,
            lambda asked: judge_prompt(task, asked.matter, swapped=asked.swapped),
            lambda _, answer: read_choice(answer),
            None,
            lambda _: TOKENS,
        )
        self._step = ask(replace(question, outside=limits))

    def waiting(self, matters: Iterable[Matter]) -> int:
        """Return the number of calls that matters still take."""
        return len([asked for asked in _both(matters) if asked.key not in self._kept.rows])

    async def ask(
        self,
        matters: Sequence[Matter],
        *,
        at_once: int = 4,
        done: Callable[[int], None] = lambda _: None,
    ) -> int:
        """Ask what has no answer yet.

        Args:
            matters: What is to be judged.
            at_once: Calls at a time.
            done: Called with the number of answers that came.

        Returns:
            Number of questions that a passing fault left without an answer.

        Raises:
            ModelError: A person must mend something; the answers until then are kept.
            DataError: The file cannot be written.
        """
        failed = 0

        async def work(asked: _Asked) -> None:
            nonlocal failed
            try:
                choice: Choice = await self._step.ainvoke(asked)
            except ModelError as error:
                if not error.passing:
                    raise
                if error.kind not in OF_ONE_ANSWER:
                    failed += 1
                    done(1)
                    return
                choice = "refused" if error.kind == "refusal" else "unreadable"
            self._kept.add(_row(asked, choice))
            done(1)

        waiting = [asked for asked in _both(matters) if asked.key not in self._kept.rows]
        if waiting:
            with self._kept.writing():
                await in_parallel(waiting, work, at_once)
        return failed

    def verdict(self, matter: Matter) -> Verdict | None:
        """Return the two answers to a matter; None where one is missing."""
        keys = (_Asked(matter, False).key, _Asked(matter, True).key)
        found = [self._kept.rows.get(key) for key in keys]
        if found[0] is None or found[1] is None:
            return None
        return Verdict(found[0]["choice"], found[1]["choice"])


def _row(asked: _Asked, choice: Choice) -> dict[str, Any]:
    return {
        "key": asked.key, "matter": asked.matter.key, "dimension": asked.matter.dimension,
        "swapped": asked.swapped, "choice": choice,
    }  # fmt: skip


def _both(matters: Iterable[Matter]) -> Iterator[_Asked]:
    return (_Asked(matter, swapped) for matter in matters for swapped in (False, True))


def judge_prompt(task: TaskSpec, matter: Matter, *, swapped: bool) -> list[BaseMessage]:
    """Return the prompt of a matter, in one of its orders."""
    values = _values(task) | {"dimension": matter.dimension, "question": matter.question}
    first, second = (matter.other, matter.one) if swapped else (matter.one, matter.other)
    blocks = [
        delimited(f"{name}-conversation", transcript(task, fitting(talk, MOST_TOKENS)))
        for name, talk in (("first", first), ("second", second))
    ]
    return [SystemMessage(fill(shared_prompt("judge"), values)), HumanMessage("\n\n".join(blocks))]


MOST_TOKENS = 3_000
"""Tokens of each conversation in a prompt; the oldest part of a longer one is left out."""


def _values(task: TaskSpec) -> dict[str, object]:
    names = ("title", "user_role", "system_role")
    return {name: getattr(task, name) for name in names}


def read_choice(answer: AIMessage) -> Choice:
    """Read a judge's answer: one of three words, perhaps with a few around it.

    Raises:
        UnreadableError: It is prose, or names several.
    """
    text = strip_thoughts(answer.text).strip()
    if text.startswith("{"):
        text = " ".join(str(value) for value in _values_of(text))
    words = re.findall(r"[a-z0-9]+", text.lower())
    strong = {STRONG[word] for word in words if word in STRONG}
    # "A" is an article, too: letters and numbers count only where they stand alone.
    found = strong or ({WORDS[words[0]]} if len(words) == 1 and words[0] in WORDS else set())
    if len(found) != 1 or len(words) > LONGEST:
        raise UnreadableError('Answer with one word alone: "first", "second" or "tie".')
    (choice,) = found
    return choice


def _values_of(text: str) -> Iterable[object]:
    try:
        found = json.loads(text)
    except ValueError:
        return [text]
    return found.values() if isinstance(found, Mapping) else [text]
