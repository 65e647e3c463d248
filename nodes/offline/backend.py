"""The offline backend: no key, no hub, no network."""

from __future__ import annotations

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableLambda

from langgraph_cooper.nodes.backend import Backend, GeneratorInput, PromoterInput, TrackerInput
from langgraph_cooper.nodes.offline.answers import Answers
from langgraph_cooper.nodes.offline.generator import OfflineGenerator
from langgraph_cooper.nodes.offline.promoter import OfflinePromoter
from langgraph_cooper.nodes.offline.tracker import Embed, OfflineTracker
from langgraph_cooper.nodes.state import Candidate
from langgraph_cooper.nodes.voice import OfflineVoice
from langgraph_cooper.prompts import TaskSpec


def offline_backend(task: TaskSpec, embed: Embed, answers: Answers | None = None) -> Backend:
    """Build the backend that works without any language model.

    Args:
        task: The task; the backend says only sentences of its topic banks.
        embed: The sentence encoder of the tracker and the promoter.
        answers: The task's prepared answers; None: they are made here.
    """
    answers = answers or Answers(task, embed)
    tracker: Runnable[TrackerInput, str] = RunnableLambda(OfflineTracker(embed).__call__)
    promoter: Runnable[PromoterInput, list[Candidate]] = RunnableLambda(
        OfflinePromoter(task, embed, answers).__call__
    )
    compose = OfflineGenerator(task)

    def script(given: GeneratorInput) -> list[BaseMessage]:
        return [compose(given)]

    return Backend(tracker, promoter, generator=RunnableLambda(script) | OfflineVoice())
