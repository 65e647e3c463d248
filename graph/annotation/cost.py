"""Estimating what an annotation by a chat model costs, before its first call.

The backend's real prompts for a sample of the dialogues are built and measured. The answers, and
the summaries that enter later prompts, are assumed to be as long as gpt-3.5-turbo's for P4G.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableLambda

from langgraph_cooper.nodes.backend import PromoterInput, TrackerInput
from langgraph_cooper.nodes.llm import llm_promoter, llm_tracker
from langgraph_cooper.nodes.state import Candidate
from langgraph_cooper.prompts import AspectSpec, TaskSpec
from langgraph_cooper.ranker.data.dialogue import Dialogue, Utterance

CHARACTERS_PER_TOKEN = 4
"""Of English, in the tokenisers of most chat models."""

SAMPLE = 20
"""Number of dialogues whose prompts are measured."""

SUMMARY = "x" * 375
"""As long as the mean of 987 summaries by gpt-3.5-turbo."""

TOPIC_LENGTH = 92
"""Characters: the mean of its 3,619 topic candidates."""


class Estimate(NamedTuple):
    """Calls of a chat model and their tokens.

    Attributes:
        calls: Number of calls, exact, without retries.
        tokens_in: Tokens of all prompts.
        tokens_out: Tokens of all answers.
    """

    calls: int
    tokens_in: int
    tokens_out: int

    def sentence(self, model: str) -> str:
        """Return the estimate as a phrase."""
        return (
            f"about {self.calls:,} calls of {model}, {_rounded(self.tokens_in)} tokens in and "
            f"{_rounded(self.tokens_out)} out (from the prompts of a sample, at "
            f"{CHARACTERS_PER_TOKEN} characters a token)"
        )


def estimate_annotation(dialogues: Sequence[Dialogue], task: TaskSpec) -> Estimate:
    """Estimate the cost of annotating dialogues by a chat model.

    Args:
        dialogues: The dialogues to annotate; the prompts of up to 20 are measured.
        task: The task.
    """
    step = max(1, len(dialogues) // SAMPLE)
    meter = _Meter(task)
    sample = dialogues[::step][:SAMPLE]
    for dialogue in sample:
        meter.measure(dialogue)
    turns, sampled = (sum(len(d.system_turns) for d in group) for group in (dialogues, sample))
    share = turns / max(sampled, 1)
    return Estimate(
        calls=len(task.aspects) * (2 * turns + len(dialogues)),
        tokens_in=round(share * meter.model.read / CHARACTERS_PER_TOKEN),
        tokens_out=round(share * meter.model.written / CHARACTERS_PER_TOKEN),
    )


class _Meter:
    """Builds the prompts of dialogues; `model` adds up their characters."""

    def __init__(self, task: TaskSpec) -> None:
        self.model = _TypicalModel()
        self._task = task
        bank: RunnableLambda[PromoterInput, list[Candidate]] = RunnableLambda(lambda _: [])
        self._tracker = llm_tracker(task, self.model)
        self._promoter = llm_promoter(task, self.model, bank)

    def measure(self, dialogue: Dialogue) -> None:
        """Build all prompts of a dialogue."""
        said, known = dialogue.history(), ""
        # At every system turn and at the end, the trackers read the utterances since the last one.
        for begin, index in pairwise((0, *dialogue.system_turns, len(said))):
            for aspect in self._task.aspects:
                self.model.answer = SUMMARY
                self._tracker.invoke(
                    TrackerInput(aspect=aspect, previous=known, said=said[begin:index])
                )
                if index < len(said):
                    self._promote(aspect, said[:index])
            known = SUMMARY

    def _promote(self, aspect: AspectSpec, history: Sequence[Utterance]) -> None:
        strategy = max(aspect.strategies, key=len, default="")
        topics = [f"{number} ".ljust(TOPIC_LENGTH, "x") for number in range(self._task.m)]
        candidates = [{"topic": topic, "strategy": strategy} for topic in topics]
        self.model.answer = json.dumps({"candidates": candidates})
        self._promoter.invoke(
            PromoterInput(aspect=aspect, history=history, state=SUMMARY, m=self._task.m)
        )


class _TypicalModel(BaseChatModel):
    """Gives a set answer; adds up the characters that it reads and writes."""

    answer: str = ""
    read: int = 0
    written: int = 0

    @property
    def _llm_type(self) -> str:
        return "typical"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        self.read += sum(len(message.text) for message in messages)
        self.written += len(self.answer)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self.answer))])


def _rounded(tokens: int) -> str:
    """Round to two digits, the precision of an estimate."""
    if tokens >= 1_000_000:
        return f"{tokens / 1_000_000:.1f} million"
    return f"{round(tokens, 1 - len(str(tokens))) if tokens >= 100 else tokens:,}"
