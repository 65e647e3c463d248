"""The interface of a backend: three Runnables that track, promote and generate.

The graph and its nodes do not know whether an LLM or the offline backend implements them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NotRequired

from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from typing_extensions import TypedDict

from langgraph_cooper.nodes.state import Candidate, RankedCandidate
from langgraph_cooper.prompts import AspectSpec
from langgraph_cooper.ranker.data.dialogue import Utterance


class TrackerInput(TypedDict):
    """Input of a state tracker: its last summary and the utterances since.

    The cost of a turn does not grow with the conversation.
    """

    aspect: AspectSpec
    previous: str
    said: Sequence[Utterance]


class PromoterInput(TypedDict):
    """Input of an aspect promoter: the dialogue history H_t and the state summary S_i."""

    aspect: AspectSpec
    history: Sequence[Utterance]
    state: str
    m: int


class GeneratorInput(TypedDict):
    """Input of the generator: the dialogue history H_t and the top-K candidates, best first.

    A fine-tuned generator reads the state summaries too, by aspect; a chat model reads them where
    the beginning of the dialogue is left out.
    """

    history: Sequence[Utterance]
    topics: Sequence[RankedCandidate]
    states: NotRequired[Mapping[str, str]]


@dataclass(frozen=True)
class Backend:
    """The three modules that understand and produce language.

    Attributes:
        tracker: Returns the state summary S_i.
        promoter: Returns up to m distinct topic candidates.
        generator: Returns the next utterance; streams if asked to.
    """

    tracker: Runnable[TrackerInput, str]
    promoter: Runnable[PromoterInput, list[Candidate]]
    generator: Runnable[GeneratorInput, AIMessage]
