"""Letting a chat model rank many turns: some at a time, with every answer kept in a file."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from langchain_core.language_models import BaseChatModel

from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.nodes.llm.models import chat_model
from langgraph_cooper.nodes.llm.ranking import (
    RankingInput,
    complete,
    llm_ranking,
    ranking_prompt,
)
from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.ranker.api import ScoredTopic
from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.evaluation.baselines import Scores
from langgraph_cooper.ranker.evaluation.report import MeasuredTurns

CHARACTERS_PER_TOKEN = 4
ANSWER_TOKENS = 4
"""Per candidate: a number and a comma."""

OF_ONE_TURN = ("refusal", "cut")
"""Faults that tell of one dialogue and not of the endpoint; such a turn counts as unanswered."""

BEGINNING = b'{"turn": "'
"""Of every line in a cache."""


class Cost(NamedTuple):
    """What is still to be asked; tokens are estimated, four characters each."""

    calls: int
    prompt_tokens: int
    answer_tokens: int


class LlmRanking:
    """A chat model's ranking of a file's turns.

    Args:
        measured: The turns.
        model: A name on the OpenAI-compatible endpoint, or a chat model.
        cache: A JSONL file that keeps the answers. Those that stand in it already are not asked
            for again, so that a run that was stopped goes on where it was.

    Raises:
        ModelError: The model cannot be set up.
        DataError: The cache holds something else.
    """

    def __init__(
        self, measured: MeasuredTurns, model: str | BaseChatModel, cache: Path | None = None
    ) -> None:
        self._task = measured.task
        self._cache = cache
        self._model = chat_model(model)
        self._name = model if isinstance(model, str) else model._llm_type
        self._turns = [
            RankingInput(
                history=measured.history(turn),
                candidates=[ScoredTopic(c.aspect, c.topic) for c in turn.turn.candidates],
            )
            for turn in measured.turns
        ]
        self._keys = [_key(self._name, self._task, turn) for turn in self._turns]
        self._orders = _read(cache) if cache and cache.is_file() else {}

    def cost(self) -> Cost:
        """What the turns that are not in the cache will take."""
        waiting = self._waiting()
        prompts = [ranking_prompt(self._task, turn) for turn in waiting.values()]
        characters = sum(
            len(system) + sum(len(text) + 2 * len(label) for label, text in material)
            for system, material in prompts
        )
        answers = sum(ANSWER_TOKENS * len(turn["candidates"]) for turn in waiting.values())
        return Cost(len(prompts), characters // CHARACTERS_PER_TOKEN, answers)

    async def ask(self, *, at_once: int = 4, done: Callable[[int], None] = lambda _: None) -> None:
        """Asks for what is not in the cache.

        Args:
            at_once: Calls under way at a time.
            done: Is told how many turns were just ranked.

        Raises:
            ModelError: The model fails; what it has answered until then is in the cache.
            DataError: The cache cannot be written.
        """
        step = llm_ranking(self._task, self._model)
        waiting = iter(self._waiting().items())

        async def work() -> None:
            for key, turn in waiting:  # shared: each worker takes the next one
                try:
                    order = await step.ainvoke(turn)
                except ModelError as error:
                    if error.kind not in OF_ONE_TURN:
                        raise
                    order = []
                self._keep(key, order)
                done(1)

        workers = [asyncio.ensure_future(work()) for _ in range(at_once)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()

    def scores(self) -> Scores:
        """Scores [n] of every turn; what the model did not name comes last, as it stood."""
        scores = []
        for key, turn in zip(self._keys, self._turns, strict=True):
            count = len(turn["candidates"])
            values = np.empty(count)
            values[complete(self._orders[key], count)] = -np.arange(count)
            scores.append(values)
        return scores

    @property
    def unanswered(self) -> int:
        """Turns in whose answer no number was found: their candidates keep their order."""
        return sum(not self._orders[key] for key in self._keys)

    def _waiting(self) -> dict[str, RankingInput]:
        pairs = zip(self._keys, self._turns, strict=True)
        return {key: turn for key, turn in pairs if key not in self._orders}

    def _keep(self, key: str, order: list[int]) -> None:
        self._orders[key] = order
        if not self._cache:
            return
        try:
            with self._cache.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"turn": key, "order": order}) + "\n")
        except OSError as error:
            raise DataError(
                f"{self._cache} cannot be written: {error.strerror}; nothing before is lost"
            ) from None


def _key(model: str, task: TaskSpec, turn: RankingInput) -> str:
    """What an answer belongs to: the model and all that it is shown."""
    shown = json.dumps([model, *ranking_prompt(task, turn)])
    return hashlib.sha256(shown.encode()).hexdigest()[:32]


def _read(cache: Path) -> dict[str, list[int]]:
    """The answers in a cache; a last line that a kill left half written is cut off."""
    data = cache.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    rest = data[len(whole) :]
    try:
        answers = [json.loads(line) for line in whole.splitlines()]
        orders = {str(a["turn"]): [int(number) for number in a["order"]] for a in answers}
        foreign = not rest.startswith(BEGINNING[: len(rest)])
    except (ValueError, KeyError, TypeError):
        foreign = True
    if foreign:
        raise DataError(
            f"{cache} holds something else than a model's rankings: choose another file"
        )
    if rest:
        with cache.open("r+b") as file:
            file.truncate(len(whole))
    return orders
