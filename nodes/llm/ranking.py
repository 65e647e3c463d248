"""Letting a chat model rank topic candidates, all of a turn in one list (the paper's baseline).

It is measured against the trained ranker and takes no part in a conversation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import Runnable

from langgraph_cooper.nodes.llm.backend import RECENT
from langgraph_cooper.nodes.llm.call import Question, ask
from langgraph_cooper.nodes.llm.material import delimited, plain, transcript
from langgraph_cooper.nodes.llm.parsing import without_thoughts
from langgraph_cooper.prompts import TaskSpec, fill
from langgraph_cooper.prompts.task import shared_prompt
from langgraph_cooper.ranker.api import ScoredTopic
from langgraph_cooper.ranker.data.dialogue import Utterance

LIST = re.compile(r"\[[\d\s,\"']+\]")
BRACKETED = re.compile(r"\[(\d+)\]")
NUMBER = re.compile(r"\d+")


class RankingInput(TypedDict):
    """One turn's candidates and what was said before."""

    history: list[Utterance]
    candidates: list[ScoredTopic]


def llm_ranking(task: TaskSpec, model: BaseChatModel) -> Runnable[RankingInput, list[int]]:
    """The step that asks a model for an order.

    Its result holds the positions [<= n] of the candidates that the model named, the best first;
    `complete` adds those that it forgot.

    Args:
        task: The task.
        model: The chat model. A fault of it is a `ModelError`.
    """

    def prompt(given: RankingInput) -> list[BaseMessage]:
        system, material = ranking_prompt(task, given)
        blocks = [delimited(label, text) for label, text in material]
        return [SystemMessage(system), HumanMessage("\n\n".join(blocks))]

    def read(given: RankingInput, answer: AIMessage) -> list[int]:
        return read_order(answer.text, len(given["candidates"]))

    # In no turn of a conversation, a question has a budget of its own; the generator's is whole.
    return ask(Question("generator", len(task.aspects), model, model, prompt, read))


def ranking_prompt(task: TaskSpec, given: RankingInput) -> tuple[str, list[tuple[str, str]]]:
    """What a turn is put to a model with: the system prompt, and the labelled material."""
    values = {
        "title": task.title,
        "goal": task.goal,
        "user_role": task.user_role,
        "system_role": task.system_role,
        "count": len(given["candidates"]),
    }
    topics = "\n".join(
        f"{number}. {plain(candidate.topic)} ({candidate.aspect})"
        for number, candidate in enumerate(given["candidates"], start=1)
    )
    said = transcript(task, given["history"][-RECENT:]) or "(nothing yet)"
    return fill(shared_prompt("ranker"), values), [("dialogue", said), ("topics", topics)]


def read_order(text: str, count: int) -> list[int]:
    """Reads an order of `count` candidates, tolerantly.

    A list of numbers is taken wherever it stands, the longest of several; failing that, numbers in
    brackets ("[3] > [1]"), failing that, all numbers as they come.

    Returns:
        Positions from 0, each once, the best first; those outside the range are dropped.
    """
    text = without_thoughts(text)
    lists = [_positions(NUMBER.findall(found), count) for found in LIST.findall(text)]
    longest = max(lists, key=len, default=[])
    if len(longest) > 1 or (longest and count == 1):
        return longest
    return _positions(BRACKETED.findall(text), count) or _positions(NUMBER.findall(text), count)


def complete(order: Iterable[int], count: int) -> list[int]:
    """The order with the positions of 0..count - 1 that it lacks behind it, as they stood."""
    named = [position for position in dict.fromkeys(order) if 0 <= position < count]
    return [*named, *(position for position in range(count) if position not in named)]


def _positions(numbers: Iterable[str], count: int) -> list[int]:
    # A number of thousands of digits is none of ours, and int() would refuse it.
    known = (int(number) - 1 for number in numbers if len(number) <= len(str(count)) + 2)
    return list(dict.fromkeys(number for number in known if 0 <= number < count))
