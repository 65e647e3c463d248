"""The paper's prompt baselines: a chat model replies without agents, ranker or topics.

They are measured beside COOPER and take no part in a conversation. `plain` gets the task and the
dialogue; `cot` first reasons about each aspect's progress and names the one that comes first;
`mixinit` (Chen et al. 2023) first names the strategies so far and the next one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import Runnable

from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.language.thoughts import strip_thoughts
from langgraph_cooper.nodes.llm.backend import PROMPT_UTTERANCES, WORD_TOKENS, bounded
from langgraph_cooper.nodes.llm.call import Question, UnreadableError, ask
from langgraph_cooper.nodes.llm.faults import capped_short
from langgraph_cooper.nodes.llm.material import delimited, transcript
from langgraph_cooper.nodes.llm.parsing import NOTHING
from langgraph_cooper.prompts import TaskSpec, fill
from langgraph_cooper.prompts.task import shared_prompt
from langgraph_cooper.ranker.data.dialogue import Utterance

PLAIN, COT, MIXINIT = BASELINES = ("plain", "cot", "mixinit")
REASONING_TOKENS = 250

UTTERANCE = re.compile(r"^\W*utterance\W*:\W*", re.IGNORECASE | re.MULTILINE)
ASPECT = re.compile(r"^\W*aspect\W*:(.*)$", re.IGNORECASE | re.MULTILINE)
STRATEGY = re.compile(r"^\W*strategy\W*:(.*)$", re.IGNORECASE | re.MULTILINE)


class Said(NamedTuple):
    """A baseline's reply, and the aspect that it put first; None if it names none."""

    reply: str
    aspect: str | None


def llm_baseline(
    name: str, task: TaskSpec, model: BaseChatModel, limits: CooperContext | None = None
) -> Runnable[list[Utterance], Said]:
    """Build the Runnable that replies to a history as a baseline does.

    Args:
        name: "plain", "cot" or "mixinit".
        task: The task.
        model: The chat model. Its faults become `ModelError`.
        limits: Has the deadline and the number of calls of each reply.
    """
    system = fill(shared_prompt(name), _values(task))

    def prompt(history: list[Utterance]) -> list[BaseMessage]:
        return bounded(written, history[-PROMPT_UTTERANCES:], model)

    def written(said: Sequence[Utterance]) -> list[BaseMessage]:
        dialogue = delimited("dialogue", transcript(task, said) or NOTHING)
        return [SystemMessage(system), HumanMessage(dialogue)]

    def read(_: list[Utterance], answer: AIMessage) -> Said:
        return read_reply(name, task, strip_thoughts(answer.text), cut=capped_short(answer))

    def tokens(_: list[Utterance]) -> int:
        return round(WORD_TOKENS * task.reply_words) + (REASONING_TOKENS if name != PLAIN else 0)

    # Outside a run each question has its own budget, all of it for the generator's role.
    question = Question("generator", task.aspect_names, model, model, prompt, read, None, tokens)
    return ask(replace(question, outside=limits))


def read_reply(name: str, task: TaskSpec, text: str, *, cut: bool = False) -> Said:
    """Read a baseline's answer.

    Args:
        name: The baseline.
        task: Its task.
        text: The answer without a reasoning model's own thoughts.
        cut: Whether the answer broke off at its cap.

    Raises:
        UnreadableError: There is no utterance.
    """
    reply = text.strip().strip('"').strip()
    if name != PLAIN:
        parts = UTTERANCE.split(text)
        if len(parts) < 2:
            why = "There is no line 'Utterance:' in that. Answer in the three lines asked for."
            raise UnreadableError(why)
        text, reply = parts[0], parts[-1].strip().strip('"').strip()
    if not reply or (cut and name != PLAIN and len(reply.split()) < 3):
        raise UnreadableError("That says nothing. Answer with the utterance.")
    return Said(reply, _aspect(name, task, text))


def _aspect(name: str, task: TaskSpec, reasoning: str) -> str | None:
    """Return the aspect that the reasoning puts first; a strategy stands for its aspect."""
    found = {COT: ASPECT, MIXINIT: STRATEGY}[name].search(reasoning) if name != PLAIN else None
    if not found:
        return None
    named = found.group(1).strip().casefold()
    if name == COT:
        return next((aspect for aspect in task.aspect_names if aspect.casefold() in named), None)
    for aspect in task.aspects:
        if any(strategy.casefold() in named for strategy in aspect.strategies):
            return aspect.name
    return None


def _values(task: TaskSpec) -> dict[str, object]:
    return {
        "title": task.title,
        "goal": task.goal,
        "user_role": task.user_role,
        "system_role": task.system_role,
        "words": task.reply_words,
        "aspects": "\n".join(f"- {a.name}: {a.propose}" for a in task.aspects),
        "strategies": "\n".join(
            f"- {s}" for s in dict.fromkeys(s for a in task.aspects for s in a.strategies)
        ),
    }
