"""What the nodes of one graph share: the task, the ranker, and the backend that a run chooses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from langchain_core.language_models import BaseChatModel

from langgraph_cooper.nodes.backend import Backend
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.llm import chat_model, llm_generator, llm_promoter, llm_tracker
from langgraph_cooper.nodes.offline import offline_backend
from langgraph_cooper.prompts import TaskSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from langgraph_cooper.ranker.api import Ranker

OFFLINE = "offline"
Model = str | BaseChatModel | None


class Resources:
    """Built with the graph, before any run; loads the ranker when a run first needs it.

    Args:
        task: The task.
        model: The agents' and the generator's chat model; None or "offline": the offline backend.
        generator_model: Another one for the generator; None: the same.
        load_ranker: Gives the ranker. Called once, in whichever thread comes first.
    """

    def __init__(
        self,
        task: TaskSpec,
        model: Model,
        generator_model: Model,
        load_ranker: Callable[[], Ranker],
    ) -> None:
        self.task = task
        self._model = model
        self._generator_model = generator_model
        self._load_ranker = load_ranker
        self._lock = threading.Lock()
        self.offline = offline_backend(task, self._embed)
        """What needs no model: it also stands in for one that failed."""
        self._backend = lru_cache(maxsize=32)(self._build)

    def ranker(self) -> Ranker:
        """The ranker, loaded on first use; the agents ask for it from several threads at once.

        A method, not a property: LangGraph looks through the attributes that a node's function
        names when it searches for subgraphs, and would load the ranker while the graph is built.
        """
        with self._lock:
            return self._loaded

    @cached_property
    def _loaded(self) -> Ranker:
        return self._load_ranker()

    def backend(self, context: CooperContext) -> Backend:
        """The backend for a run's choices.

        Raises:
            ModelError: The chosen model cannot be set up.
        """
        return self._backend(
            context.model, context.generator_model, context.temperature, context.goal
        )

    def _build(
        self,
        model: str | None,
        generator_model: str | None,
        temperature: float | None,
        goal: str | None,
    ) -> Backend:
        agents, generator = self._chosen(model, generator_model)
        task = self.task.model_copy(update={"goal": goal}) if goal else self.task
        tracker, promoter, speaker = (
            self.offline.tracker,
            self.offline.promoter,
            self.offline.generator,
        )
        if agents != OFFLINE:
            chat = chat_model(agents, temperature)
            tracker = llm_tracker(task, chat)
            promoter = llm_promoter(task, chat, self.offline.promoter)
        if generator != OFFLINE:
            speaker = llm_generator(task, chat_model(generator, temperature))
        return Backend(tracker=tracker, promoter=promoter, generator=speaker)

    def speaks_offline(self, context: CooperContext) -> bool:
        """Whether a run's generator is the offline one."""
        return self._chosen(context.model, context.generator_model)[1] == OFFLINE

    def _chosen(
        self, model: str | None, generator_model: str | None
    ) -> tuple[str | BaseChatModel, str | BaseChatModel]:
        """The agents' model and the generator's.

        The graph's own generator model goes with its own agents' model: a run that names another
        model for the agents means the generator too.
        """
        agents = model or self._model or OFFLINE
        return agents, generator_model or (None if model else self._generator_model) or agents

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.ranker().embed(texts)
