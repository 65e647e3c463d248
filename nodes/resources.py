"""The resources that a graph's nodes share: task, ranker and backends."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable

from langgraph_cooper.nodes.allowed import Allowed
from langgraph_cooper.nodes.backend import Backend, GeneratorInput
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.nodes.finetuned.checkpoint import VoiceCheckpoint, shipped_voice
from langgraph_cooper.nodes.finetuned.errors import VoiceError, VoiceMissing
from langgraph_cooper.nodes.llm import chat_model, llm_generator, llm_promoter, llm_tracker
from langgraph_cooper.nodes.llm.models import endpoint_of
from langgraph_cooper.nodes.offline import offline_backend
from langgraph_cooper.nodes.offline.answers import Answers
from langgraph_cooper.nodes.offline.generator import OfflineGenerator
from langgraph_cooper.nodes.offline.reading import ShippedReader
from langgraph_cooper.nodes.second_reader import SecondReader
from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.ranker.model.forking import wait_before_fork

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from langgraph_cooper.nodes.finetuned.engine import Engine
    from langgraph_cooper.ranker.api import Ranker

OFFLINE = "offline"
BANK, FINETUNED = "bank", "finetuned"
"""The generators that need no chat model: prepared sentences, and the trained one."""
Model = str | BaseChatModel | None

LOG = logging.getLogger(__name__)

# One for all graphs: a fork waits until no ranker is being loaded.
_loading = threading.RLock()
wait_before_fork(_loading)


class Resources:
    """The resources of one graph, made when it is built; the ranker is loaded on first use.

    Args:
        task: The task.
        model: The chat model of the agents and the generator; None or "offline": the offline
            backend.
        generator_model: Another chat model, "bank" or "finetuned", for the generator; None: the
            same.
        load_ranker: Loads the ranker. Called once, from any thread.
        voice: The fine-tuned generator; None: the one shipped for the task, if any.
        allowed: What a run may choose by name; None: anything.
        second: The guard's second reader, if there is one.

    Attributes:
        task: The task.
        second: The guard's second reader.
        answers: The task's prepared answers.
        offline: The offline backend, which also replaces a model that failed.
    """

    def __init__(
        self,
        task: TaskSpec,
        model: Model,
        generator_model: Model,
        load_ranker: Callable[[], Ranker],
        voice: VoiceCheckpoint | None = None,
        allowed: Allowed | None = None,
        second: SecondReader | None = None,
    ) -> None:
        self.task, self.second = task, second
        self._allowed = allowed or Allowed()
        self._model = model
        self._generator_model = generator_model
        self._load_ranker = load_ranker
        self._voice = voice
        self.answers = Answers(task, self._embed, reader=ShippedReader(task, self._embed))
        self.offline = offline_backend(task, self._embed, self.answers)
        self._backend = lru_cache(maxsize=32)(self._build)
        # An app may take its key out of the environment once its models are set up.
        self._check_names = lru_cache(maxsize=32)(self._look_up)

    def ranker(self) -> Ranker:
        """Return the ranker, loaded on first use; several threads may ask for it at once.

        It is a method and not a property: LangGraph searches for subgraphs in the attributes that
        a node's function names, and would load the ranker while the graph is built.
        """
        if "_loaded" in self.__dict__:
            return self._loaded
        with _loading:
            return self._loaded

    @cached_property
    def _loaded(self) -> Ranker:
        return self._load_ranker()

    def backend(self, context: CooperContext) -> Backend:
        """Return the backend for a run's choices.

        Raises:
            ModelError: The chosen model cannot be set up.
            InputError: The run may not choose it.
        """
        self._allowed.check(context, self.task)
        return self._backend(context.model, _named(context), context.temperature, context.goal)

    def check(self, context: CooperContext) -> None:
        """Refuse a run's choices that cannot be set up, without loading anything.

        Raises:
            ModelError: A model's name cannot be one, or lacks a key.
            VoiceError: There is no fine-tuned generator for the task.
            InputError: The run may not choose it.
        """
        self._allowed.check(context, self.task)
        self._check_names(context.model, _named(context))

    def _look_up(self, model: str | None, generator_model: str | None) -> None:
        agents, generator = self._chosen(model, generator_model)
        if isinstance(agents, str) and agents != OFFLINE:
            endpoint_of(agents)
        if generator == FINETUNED:
            _ = self._speaker
        elif isinstance(generator, str) and generator not in (OFFLINE, agents):
            _check_speaking(generator)

    @cached_property
    def _speaker(self) -> VoiceCheckpoint:
        return voice_of(self.task, self._voice)

    def _build(
        self,
        model: str | None,
        generator_model: str | None,
        temperature: float | None,
        goal: str | None,
    ) -> Backend:
        self._check_names(model, generator_model)
        agents, generator = self._chosen(model, generator_model)
        task = self.task.model_copy(update={"goal": goal}) if goal else self.task
        backend = self.offline
        if agents != OFFLINE:
            chat = chat_model(agents, temperature)
            # It fills a short list with the bank's topics; prepared answers are no such topics.
            bank = offline_backend(task.without_answers(), self._embed).promoter
            promoter = llm_promoter(task, chat, bank)
            backend = replace(backend, tracker=llm_tracker(task, chat), promoter=promoter)
        if generator == FINETUNED:
            backend = replace(backend, generator=self._finetuned())
        elif generator != OFFLINE:
            chat = chat_model(generator, temperature)
            backend = replace(backend, generator=llm_generator(task, chat))
        return backend

    def _finetuned(self) -> Runnable[GeneratorInput, AIMessage]:
        from langgraph_cooper.nodes.finetuned.generator import chooser, finetuned_generator

        checkpoint = self._speaker
        return finetuned_generator(
            OfflineGenerator(self.task),
            lambda: _engine(checkpoint),
            chooser(self.task, self._embed),
        )

    def load_voice(self, context: CooperContext) -> None:
        """Load the fine-tuned generator if it speaks; not where the extra `voice` is missing.

        Raises:
            VoiceError: There is none, or it is damaged.
        """
        if self._chosen(context.model, _named(context))[1] == FINETUNED:
            with suppress(VoiceMissing):  # the bank speaks, and the first turn says so
                _engine(self._speaker)

    def speaks_offline(self, context: CooperContext) -> bool:
        """Return whether a run's generator is the offline one."""
        return self._chosen(context.model, _named(context))[1] == OFFLINE

    def thinks_offline(self, context: CooperContext) -> bool:
        """Return whether a run's agents ask no language model."""
        return self._chosen(context.model, _named(context))[0] == OFFLINE

    def _chosen(
        self, model: str | None, generator_model: str | None
    ) -> tuple[str | BaseChatModel, str | BaseChatModel]:
        """Return the agents' model and the generator's.

        A run that names a model for the agents means the generator too: the graph's own generator
        model is used only with the graph's own model for the agents.
        """
        agents = model or self._model or OFFLINE
        spoken = generator_model or (None if model else self._generator_model) or agents
        return agents, OFFLINE if spoken == BANK else spoken

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.ranker().embed(texts)


def _check_speaking(generator: str) -> None:
    """Check the name of the generator's own chat model; without a key it may be a mistake."""
    try:
        endpoint_of(generator)
    except ModelError as error:
        raise ModelError(
            f'the generator {generator!r} is neither "{BANK}" nor "{FINETUNED}" nor a folder, and '
            f"is thus taken for a chat model's name: {error}"
        ) from None


def _engine(checkpoint: VoiceCheckpoint) -> Engine:
    from langgraph_cooper.nodes.finetuned.engine import load_engine

    return load_engine(checkpoint, notice=LOG.warning)


def voice_of(task: TaskSpec, given: VoiceCheckpoint | None = None) -> VoiceCheckpoint:
    """Return the fine-tuned generator of a task: a given one, else the one that is shipped.

    Raises:
        VoiceError: There is none, or it was trained for another task.
    """
    found = given or shipped_voice(task.name, task.aspect_names)
    if found is None:
        raise VoiceError(
            f"no fine-tuned generator is shipped for the task {task.name!r}: train one with "
            "`cooper train generator` and pass its folder, or choose the bank"
        )
    found.check_task(task.name, task.aspect_names)
    return found


def _named(context: CooperContext) -> str | None:
    return context.generator or context.generator_model
