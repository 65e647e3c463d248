"""Ranking a file's turns by a chat model, several at a time; a cache keeps the answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from langchain_core.language_models import BaseChatModel

from langgraph_cooper.graph.annotation.cost import CHARACTERS_PER_TOKEN, Estimate
from langgraph_cooper.graph.evaluation.in_parallel import in_parallel
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.nodes.llm.models import chat_model, identity
from langgraph_cooper.nodes.llm.ranking import (
    RankingInput,
    complete,
    llm_ranking,
    ranking_prompt,
)
from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.ranker.api import ScoredTopic
from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.data.jsonl import finished_lines, remove_unfinished_line
from langgraph_cooper.ranker.evaluation.baselines import Scores
from langgraph_cooper.ranker.evaluation.report import MeasuredTurns

ANSWER_TOKENS = 4
"""Tokens for each candidate: a number and a comma."""

FAULTS_OF_ONE_TURN = ("refusal", "cut")
"""Kinds of faults that concern one dialogue, not the endpoint; the turn counts as unanswered."""

BEGINNING = b'{"turn": "'
"""The beginning of every line in a cache."""


class LlmRanking:
    """A chat model's ranking of a file's turns.

    Args:
        measured: The turns.
        model: A name on the OpenAI-compatible endpoint, or a chat model.
        cache: A JSONL file that keeps the answers. Turns in it are not asked for again, so that a
            stopped run goes on.
        limits: Has the deadline and the number of calls of each turn.

    Raises:
        ModelError: The model cannot be set up.
        DataError: The cache holds something else, or the model has no name by which its answers
            could be told from another model's.
    """

    def __init__(
        self,
        measured: MeasuredTurns,
        model: str | BaseChatModel,
        cache: Path | None = None,
        limits: CooperContext | None = None,
    ) -> None:
        self._task = measured.task
        self._cache = cache
        self._model = chat_model(model)
        self._limits = limits
        kind, name, url = identity(self._model)
        if cache and not name:
            raise DataError(
                f"a {kind.__name__} has no name that tells its answers from another model's: leave "
                f"the cache {cache} out"
            )
        self._turns = [
            RankingInput(
                history=measured.history(turn),
                candidates=[ScoredTopic(c.aspect, c.topic) for c in turn.turn.candidates],
            )
            for turn in measured.turns
        ]
        asked = f"{kind.__module__}.{kind.__qualname__} {name} {url}"
        self._keys = [_key(asked, self._task, turn) for turn in self._turns]
        self._orders = _read(cache) if cache else {}
        if cache:
            _make_folder(cache)

    def cost(self) -> Estimate:
        """Estimate the cost of the turns that are not in the cache."""
        waiting = self._waiting().values()
        characters = sum(
            len(system) + sum(len(text) + 2 * len(label) for label, text in material)
            for system, material in (ranking_prompt(self._task, turn) for turn in waiting)
        )
        answers = sum(ANSWER_TOKENS * len(turn["candidates"]) for turn in waiting)
        return Estimate(len(waiting), characters // CHARACTERS_PER_TOKEN, answers)

    async def ask(self, *, at_once: int = 4, done: Callable[[int], None] = lambda _: None) -> None:
        """Ask for the turns that are not in the cache.

        Args:
            at_once: Number of concurrent calls.
            done: Called with the number of turns just ranked.

        Raises:
            ModelError: The model fails; its answers until then are in the cache.
            DataError: The cache cannot be written.
        """
        step = llm_ranking(self._task, self._model, self._limits)

        async def work(item: tuple[str, RankingInput]) -> None:
            key, turn = item
            try:
                order = await step.ainvoke(turn)
            except ModelError as error:
                if error.kind not in FAULTS_OF_ONE_TURN:
                    raise
                order = []
            self._keep(key, order)
            done(1)

        await in_parallel(self._waiting().items(), work, at_once)

    def scores(self) -> Scores:
        """Scores [n] of every turn; candidates that the model did not name come last, in order."""
        scores = []
        for key, turn in zip(self._keys, self._turns, strict=True):
            count = len(turn["candidates"])
            values = np.empty(count)
            values[complete(self._orders[key], count)] = -np.arange(count)
            scores.append(values)
        return scores

    @property
    def unanswered(self) -> int:
        """Number of turns without an order in the answer; their candidates keep their order."""
        return sum(not self._orders[key] for key in self._keys)

    def _waiting(self) -> dict[str, RankingInput]:
        pairs = zip(self._keys, self._turns, strict=True)
        return {key: turn for key, turn in pairs if key not in self._orders}

    def _keep(self, key: str, order: list[int]) -> None:
        self._orders[key] = order
        if not self._cache:
            return
        try:
            with self._cache.open("a", encoding="utf-8", newline="\n") as file:
                file.write(json.dumps({"turn": key, "order": order}) + "\n")
        except OSError as error:
            raise DataError(
                f"{self._cache} cannot be written: {error.strerror}; earlier answers are kept"
            ) from None


def _key(model: str, task: TaskSpec, turn: RankingInput) -> str:
    """A hash of the model, with its class and address, and of all that it is shown."""
    shown = json.dumps([model, *ranking_prompt(task, turn)])
    return hashlib.sha256(shown.encode()).hexdigest()[:32]


def _make_folder(cache: Path) -> None:
    """Make a cache's folder before the first answer is paid for.

    Raises:
        DataError: It cannot be made.
    """
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"the folder {cache.parent} cannot be made ({error.strerror}): name another --cache"
        ) from None


def _read(cache: Path) -> dict[str, list[int]]:
    """Read the answers in a cache, and remove an unfinished last line.

    Raises:
        DataError: The cache holds something else, or cannot be opened.
    """
    try:
        answers = [json.loads(line) for _, line in finished_lines(cache, BEGINNING)]
        orders = {str(a["turn"]): [int(number) for number in a["order"]] for a in answers}
        remove_unfinished_line(cache)
    except OSError as error:
        raise DataError(f"{cache} cannot be opened: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise DataError(
            f"{cache} holds something else than a model's rankings: choose another file"
        ) from None
    return orders
