"""How a conversation ended for the user, by a chat model: agreed, the sum, how pressed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langgraph_cooper.graph.evaluation.in_parallel import in_parallel
from langgraph_cooper.graph.evaluation.interactive.rows import Conversation, digest
from langgraph_cooper.graph.evaluation.judging.judge import OF_ONE_ANSWER
from langgraph_cooper.graph.evaluation.kept import KeptRows
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.nodes.language.thoughts import strip_thoughts
from langgraph_cooper.nodes.llm.call import Question, UnreadableError, ask
from langgraph_cooper.nodes.llm.material import delimited, transcript
from langgraph_cooper.prompts import TaskSpec, fill
from langgraph_cooper.prompts.task import shared_prompt

YES = re.compile(r"^\W*yes[^\w\n]*:[^\w\n]*(yes|no)\b", re.IGNORECASE | re.MULTILINE)
AMOUNT = re.compile(r"^\W*amount[^\w\n]*:(.*)$", re.IGNORECASE | re.MULTILINE)
PRESSED = re.compile(r"^\W*pressed[^\w\n]*:[^\d\n]*([1-5])\b(?!\.\d)", re.IGNORECASE | re.MULTILINE)
NO_SUM = re.compile(r"\W*(none|no|not|nothing|n/?a)\b", re.IGNORECASE)
SUM = re.compile(
    r"(?<![\d.,])(?P<number>(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?![.,]?\d|\s*%)"
    r"(?P<cents>\s*(?:cents?\b|c\b|¢))?",
    re.IGNORECASE,
)
"""A number, perhaps with thousands set off by commas, and what it counts; shares are no sums."""
TOKENS = 60

Outcome = Mapping[str, Any]
"""An answer that was read: `yes`, `amount` (dollars, or None) and `pressed` (1 to 5)."""


class Measure(NamedTuple):
    """What outcomes are compared in.

    Attributes:
        of: Returns an outcome's value; None: it is not known.
        better: Whether more or less of it is better.
    """

    of: Callable[[Outcome], float | None]
    better: Literal["more", "less"]

    def result(self, one: Outcome | None, other: Outcome | None) -> int | None:
        """1: the one is better; -1: the other; 0: neither; None: a value is not known."""
        values = [None if each is None else self.of(each) for each in (one, other)]
        if values[0] is None or values[1] is None:
            return None
        more = (values[0] > values[1]) - (values[0] < values[1])
        return more if self.better == "more" else -more


MEASURES: Mapping[str, Measure] = {
    "said_yes": Measure(lambda found: float(found["yes"]), "more"),
    # Whoever does not agree gives nothing: leaving them out would reward a system that loses them.
    "amount": Measure(lambda found: found["amount"] if found["yes"] else 0.0, "more"),
    "pressed": Measure(lambda found: float(found["pressed"]), "less"),
}


class Outcomes:
    """Asks for outcomes, and keeps them beside the judgements.

    Args:
        task: The task.
        model: The chat model, at temperature 0.
        kept: The file of the judge's answers.
        limits: Has the deadline and the number of calls of each question.
    """

    def __init__(
        self, task: TaskSpec, model: BaseChatModel, kept: KeptRows, limits: CooperContext
    ) -> None:
        self._kept = kept

        def prompt(row: Conversation) -> list[BaseMessage]:
            names = ("title", "user_role", "system_role")
            system = fill(shared_prompt("outcome"), {name: getattr(task, name) for name in names})
            said = delimited("conversation", transcript(task, row.history))
            return [SystemMessage(system), HumanMessage(said)]

        question: Question[Conversation, dict[str, Any]] = Question(
            "generator", task.aspect_names, model, model, prompt,
            lambda _, answer: read_outcome(answer), None, lambda _: TOKENS,
        )  # fmt: skip
        self._step = ask(replace(question, outside=limits))

    def waiting(self, rows: Sequence[Conversation]) -> list[Conversation]:
        """Return the conversations that can be asked about and have no answer yet."""
        return [row for row in rows if row.whole and _key(row) not in self._kept.rows]

    async def ask(
        self,
        rows: Sequence[Conversation],
        *,
        at_once: int = 4,
        done: Callable[[int], None] = lambda _: None,
    ) -> int:
        """Ask for what has no answer yet; return how many a passing fault left out.

        Raises:
            ModelError: A person must mend something.
            DataError: The file cannot be written.
        """
        failed = 0

        async def work(row: Conversation) -> None:
            nonlocal failed
            try:
                found = await self._step.ainvoke(row)
            except ModelError as error:
                if not error.passing:
                    raise
                if error.kind not in OF_ONE_ANSWER:
                    failed += 1
                    done(1)
                    return
                found = {"refused" if error.kind == "refusal" else "unreadable": True}
            self._kept.add({"key": _key(row), "conversation": row.key, "outcome": found})
            done(1)

        if waiting := self.waiting(rows):
            with self._kept.writing():
                await in_parallel(waiting, work, at_once)
        return failed

    def known(self, row: Conversation) -> Outcome | None:
        """Return a conversation's outcome; None: it was not asked for, or there is none."""
        answer = self._answer(row)
        return answer if answer and "yes" in answer else None

    def report(self, rows: Sequence[Conversation]) -> dict[str, dict[str, Any]]:
        """Sum up the outcomes of every system.

        Args:
            rows: All conversations; those that cannot be compared are left out.

        Returns:
            Per system `conversations`; of those whose outcome is `known`, `said_yes`, `mean_amount`
            (in dollars, over those who agreed to a sum that was named) and `pressed` (the mean);
            and of the others, `refused`, `unreadable` and `unasked`.
        """
        answers: dict[str, list[Mapping[str, Any] | None]] = {row.system: [] for row in rows}
        for row in rows:
            if row.whole:
                answers[row.system].append(self._answer(row))
        return {name: _summed(found) for name, found in answers.items()}

    def _answer(self, row: Conversation) -> Mapping[str, Any] | None:
        kept = self._kept.rows.get(_key(row))
        return kept["outcome"] if kept else None


def _summed(answers: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    found = [each for each in answers if each is not None]
    known = [each for each in found if "yes" in each]
    amounts = [each["amount"] for each in known if each["yes"] and each["amount"] is not None]
    return {
        "conversations": len(answers),
        "known": len(known),
        "said_yes": sum(each["yes"] for each in known),
        "mean_amount": _mean(amounts),
        "pressed": _mean([each["pressed"] for each in known]),
        "refused": sum("refused" in each for each in found),
        "unreadable": sum("unreadable" in each for each in found),
        "unasked": len(answers) - len(found),
    }


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 2) if values else None


def _key(row: Conversation) -> str:
    """A hash of the plan and of what was said: the same plan may be held again."""
    return digest("outcome", row.key, row.history)


def read_outcome(answer: AIMessage) -> dict[str, Any]:
    """Read the three lines of an outcome.

    Raises:
        UnreadableError: One of them is missing.
    """
    text = strip_thoughts(answer.text)
    yes, amount, pressed = (line.search(text) for line in (YES, AMOUNT, PRESSED))
    if not (yes and amount and pressed):
        raise UnreadableError("Answer in the three lines asked for: Yes, Amount, Pressed.")
    return {
        "yes": yes[1].lower() == "yes",
        "amount": _dollars(amount[1]),
        "pressed": int(pressed[1]),
    }


def _dollars(text: str) -> float | None:
    """Return the first sum that a line names; None: it says that there is none, or names none."""
    found = None if NO_SUM.match(text) else SUM.search(text)
    if found is None:
        return None
    number = found["number"].replace(",", "")
    # "$0.50 cents" means half a dollar.
    cents = found["cents"] and number.isdigit()
    return float(number) / 100 if cents else float(number)
