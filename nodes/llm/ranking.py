"""Ranks a turn's candidates with a chat model, in one list (the paper's baseline).

It is measured against the trained ranker and takes no part in a conversation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import Runnable

from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.language.thoughts import strip_thoughts
from langgraph_cooper.nodes.llm.backend import PROMPT_UTTERANCES, bounded
from langgraph_cooper.nodes.llm.call import Question, UnreadableError, ask
from langgraph_cooper.nodes.llm.faults import capped_short
from langgraph_cooper.nodes.llm.material import delimited, prompt_line, transcript
from langgraph_cooper.nodes.llm.parsing import NOTHING
from langgraph_cooper.prompts import TaskSpec, fill
from langgraph_cooper.prompts.task import shared_prompt
from langgraph_cooper.ranker.api import ScoredTopic
from langgraph_cooper.ranker.data.dialogue import Utterance

LIST = re.compile(r"\[[\d\s,\"']+\]")
BRACKETED = re.compile(r"\[(\d+)\]")
NUMBER = re.compile(r"\d+")
NUMBER_TOKENS = 6  # with brackets and commas


class RankingInput(TypedDict):
    """One turn's candidates and the dialogue before it."""

    history: list[Utterance]
    candidates: list[ScoredTopic]


def llm_ranking(
    task: TaskSpec, model: BaseChatModel, limits: CooperContext | None = None
) -> Runnable[RankingInput, list[int]]:
    """Build the Runnable that asks a model for an order.

    Its result holds the positions [<= n] of the candidates that the model named, the best first;
    `complete` adds the others.

    Args:
        task: The task.
        model: The chat model. Its faults become `ModelError`.
        limits: Has the deadline and the number of calls of each question.
    """

    def prompt(given: RankingInput) -> list[BaseMessage]:
        def with_end(said: Sequence[Utterance]) -> list[BaseMessage]:
            return written({**given, "history": [*said]})

        return bounded(with_end, given["history"], model)

    def written(given: RankingInput) -> list[BaseMessage]:
        system, material = ranking_prompt(task, given)
        blocks = [delimited(label, text) for label, text in material]
        return [SystemMessage(system), HumanMessage("\n\n".join(blocks))]

    def read(given: RankingInput, answer: AIMessage) -> list[int]:
        if capped_short(answer):  # its prose may hold numbers, and a cut list is no order
            raise UnreadableError("There is no whole order in that. Answer with the list alone.")
        return read_order(answer.text, len(given["candidates"]))

    def tokens(given: RankingInput) -> int:
        return NUMBER_TOKENS * (len(given["candidates"]) + 1)

    # Outside a run each question has its own budget, all of it for the generator's role.
    names = task.aspect_names
    question = Question("generator", names, model, model, prompt, read, None, tokens)
    return ask(replace(question, outside=limits))


def ranking_prompt(task: TaskSpec, given: RankingInput) -> tuple[str, list[tuple[str, str]]]:
    """Return the system prompt and the labelled material of a turn."""
    values = {
        "title": task.title,
        "goal": task.goal,
        "user_role": task.user_role,
        "system_role": task.system_role,
        "count": len(given["candidates"]),
    }
    topics = "\n".join(
        f"{number}. {prompt_line(candidate.topic)} ({candidate.aspect})"
        for number, candidate in enumerate(given["candidates"], start=1)
    )
    said = transcript(task, given["history"][-PROMPT_UTTERANCES:]) or NOTHING
    return fill(shared_prompt("ranker"), values), [("dialogue", said), ("topics", topics)]


def read_order(text: str, count: int) -> list[int]:
    """Read an order of `count` candidates, tolerantly.

    The longest list of numbers is taken, wherever it stands; else numbers in brackets
    ("[3] > [1]"); else all numbers as they come.

    Returns:
        Positions from 0, each once, the best first; those outside the range are dropped.
    """
    text = strip_thoughts(text)
    lists = [_positions(NUMBER.findall(found), count) for found in LIST.findall(text)]
    longest = max(lists, key=len, default=[])
    if len(longest) > 1 or (longest and count == 1):
        return longest
    return _positions(BRACKETED.findall(text), count) or _positions(NUMBER.findall(text), count)


def complete(order: Iterable[int], count: int) -> list[int]:
    """Return the order followed by the positions of 0..count - 1 that it lacks."""
    named = [position for position in dict.fromkeys(order) if 0 <= position < count]
    return [*named, *(position for position in range(count) if position not in named)]


def _positions(numbers: Iterable[str], count: int) -> list[int]:
    # int() refuses a number of thousands of digits.
    known = (int(number) - 1 for number in numbers if len(number) <= len(str(count)) + 2)
    return list(dict.fromkeys(number for number in known if 0 <= number < count))
