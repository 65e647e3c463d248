"""How a conversation ended for the user, by a chat model: agreed, the sum, how pressed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langgraph_cooper.graph.evaluation.interactive.rows import Conversation, digest
from langgraph_cooper.graph.evaluation.judging.judge import OF_ONE_ANSWER, in_parallel
from langgraph_cooper.graph.evaluation.kept import KeptRows
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.nodes.language.thoughts import strip_thoughts
from langgraph_cooper.nodes.llm.call import Question, UnreadableError, ask
from langgraph_cooper.nodes.llm.material import delimited, transcript
from langgraph_cooper.prompts import TaskSpec, fill
from langgraph_cooper.prompts.task import shared_prompt

YES = re.compile(r"^\W*yes\W*:\W*(yes|no)\b", re.IGNORECASE | re.MULTILINE)
AMOUNT = re.compile(r"^\W*amount\W*:\D*?(none|no\b|\d+(?:\.\d+)?)", re.IGNORECASE | re.MULTILINE)
PRESSED = re.compile(r"^\W*pressed\W*:\D*([1-5])\b", re.IGNORECASE | re.MULTILINE)
TOKENS = 60


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
        """Return the conversations whose outcome is not known yet."""
        return [row for row in rows if _key(row) not in self._kept.rows]

    async def ask(
        self,
        rows: Sequence[Conversation],
        *,
        at_once: int = 4,
        done: Callable[[int], None] = lambda _: None,
    ) -> int:
        """Ask for the outcomes that are not known; return how many a passing fault left out.

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
                found = {"unreadable": True}
            self._kept.add({"key": _key(row), "conversation": row.key, "outcome": found})
            done(1)

        if waiting := self.waiting(rows):
            with self._kept.writing():
                await in_parallel(waiting, work, at_once)
        return failed

    def report(self, rows: Sequence[Conversation]) -> dict[str, dict[str, Any]]:
        """Return per system: `conversations`, `said_yes`, `mean_amount`, `pressed`, `unreadable`.

        The amount is the mean over those who agreed and named one.
        """
        systems: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            if kept := self._kept.rows.get(_key(row)):
                systems.setdefault(row.system, []).append(kept["outcome"])
        return {name: _summed(found) for name, found in systems.items()}


def _summed(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    read = [each for each in found if not each.get("unreadable")]
    amounts = [each["amount"] for each in read if each["yes"] and each["amount"] is not None]
    pressed = [each["pressed"] for each in read]
    return {
        "conversations": len(found),
        "said_yes": sum(each["yes"] for each in read),
        "mean_amount": round(sum(amounts) / len(amounts), 2) if amounts else None,
        "pressed": round(sum(pressed) / len(pressed), 2) if pressed else None,
        "unreadable": len(found) - len(read),
    }


def _key(row: Conversation) -> str:
    return digest("outcome", row.key)


def read_outcome(answer: AIMessage) -> dict[str, Any]:
    """Read the three lines of an outcome.

    Raises:
        UnreadableError: One of them is missing.
    """
    text = strip_thoughts(answer.text)
    yes, amount, pressed = (line.search(text) for line in (YES, AMOUNT, PRESSED))
    if not (yes and amount and pressed):
        raise UnreadableError("Answer in the three lines asked for: Yes, Amount, Pressed.")
    given = amount[1].lower()
    return {
        "yes": yes[1].lower() == "yes",
        "amount": None if given.startswith("no") else float(given),
        "pressed": int(pressed[1]),
    }
