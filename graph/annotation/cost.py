"""What an annotation by a chat model will cost, told before its first call.

The prompts are the real ones: those that the backend would send for a sample of the dialogues are
made and measured. What the model would have answered is not known; its answers, and the summaries
that go into later prompts, are taken to be as long as those that gpt-3.5-turbo wrote for P4G.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableLambda
from pydantic import Field

from langgraph_cooper.nodes.backend import PromoterInput, TrackerInput
from langgraph_cooper.nodes.llm import llm_promoter, llm_tracker
from langgraph_cooper.nodes.state import Candidate
from langgraph_cooper.prompts import AspectSpec, TaskSpec
from langgraph_cooper.ranker.data.dialogue import Dialogue, Utterance

CHARACTERS_PER_TOKEN = 4  # of English, in the tokenisers of most chat models
SAMPLE = 20  # dialogues
SUMMARY = 375  # characters: the mean of 987 summaries by gpt-3.5-turbo
TOPIC = 92  # characters: the mean of its 3,619 topic candidates


class Estimate(NamedTuple):
    """Calls and tokens of an annotation.

    Attributes:
        calls: Exact, without retries.
        tokens_in: Of all prompts.
        tokens_out: Of all answers.
    """

    calls: int
    tokens_in: int
    tokens_out: int

    def sentence(self, model: str) -> str:
        """The estimate for people."""
        return (
            f"about {self.calls:,} calls of {model}, {_rounded(self.tokens_in)} tokens in and "
            f"{_rounded(self.tokens_out)} out (from the prompts of a sample, at "
            f"{CHARACTERS_PER_TOKEN} characters a token)"
        )


def estimate_annotation(dialogues: Sequence[Dialogue], task: TaskSpec) -> Estimate:
    """Estimates what annotating dialogues by a chat model costs.

    Args:
        dialogues: All that will be annotated; the prompts of up to 20 are measured.
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
        tokens_in=round(share * meter.read / CHARACTERS_PER_TOKEN),
        tokens_out=round(share * meter.written / CHARACTERS_PER_TOKEN),
    )


class _Meter:
    """Makes the prompts of dialogues and adds up their characters."""

    def __init__(self, task: TaskSpec) -> None:
        self._task = task
        self._model = _Typical(m=task.m)
        bank: RunnableLambda[PromoterInput, list[Candidate]] = RunnableLambda(lambda _: [])
        self._tracker = llm_tracker(task, self._model)
        self._promoter = llm_promoter(task, self._model, bank)

    @property
    def read(self) -> int:
        """Characters of the prompts."""
        return self._model.read

    @property
    def written(self) -> int:
        """Characters of the answers."""
        return self._model.written

    def measure(self, dialogue: Dialogue) -> None:
        """Makes all prompts that this dialogue takes."""
        known, said = "", [Utterance(u.speaker, u.text) for u in dialogue.utterances]
        for begin, index in _stretches(dialogue):
            for aspect in self._task.aspects:
                self._track(aspect, known, said[begin:index])
                if index < len(said):
                    self._promote(aspect, said[:index])
            known = self._model.summary

    def _track(self, aspect: AspectSpec, known: str, said: Sequence[Utterance]) -> None:
        self._model.answer = self._model.summary
        self._tracker.invoke(TrackerInput(aspect=aspect, previous=known, said=said))

    def _promote(self, aspect: AspectSpec, history: Sequence[Utterance]) -> None:
        self._model.answer = self._model.candidates(aspect.strategies)
        state = self._model.summary
        self._promoter.invoke(
            PromoterInput(aspect=aspect, history=history, state=state, m=self._task.m)
        )


def _stretches(dialogue: Dialogue) -> Iterator[tuple[int, int]]:
    """What is new at each system turn and at the end: from where, up to where."""
    begin = 0
    for index in (*dialogue.system_turns, len(dialogue.utterances)):
        yield begin, index
        begin = index


class _Typical(BaseChatModel):
    """Answers as a chat model of ordinary wordiness would, and adds up what it reads."""

    m: int
    answer: str = ""
    summary: str = Field(default="x" * SUMMARY)
    read: int = 0
    written: int = 0

    @property
    def _llm_type(self) -> str:
        return "typical"

    def candidates(self, strategies: Sequence[str]) -> str:
        """A full answer to a promoter's prompt."""
        longest = max(strategies, key=len, default="")
        topics = [f"{number} ".ljust(TOPIC, "x") for number in range(self.m)]
        return json.dumps({"candidates": [{"topic": t, "strategy": longest} for t in topics]})

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        self.read += sum(len(message.text) for message in messages)
        self.written += len(self.answer)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self.answer))])


def _rounded(tokens: int) -> str:
    """Two figures are as much as an estimate is worth."""
    if tokens >= 1_000_000:
        return f"{tokens / 1_000_000:.1f} million"
    return f"{round(tokens, 1 - len(str(tokens))) if tokens >= 100 else tokens:,}"
