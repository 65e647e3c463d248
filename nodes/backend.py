"""The interface between the graph and whatever tracks, promotes and speaks for it.

The graph does not know whether an LLM or the built-in offline backend stands behind these three
Runnables, and neither do the nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from typing_extensions import TypedDict

from langgraph_cooper.nodes.state import Candidate, RankedCandidate
from langgraph_cooper.prompts import AspectSpec
from langgraph_cooper.ranker.data.dialogue import Utterance


class TrackerInput(TypedDict):
    """What a state tracker gets: its last summary and what was said since.

    So a turn's cost does not grow with the conversation.
    """

    aspect: AspectSpec
    previous: str
    said: Sequence[Utterance]


class PromoterInput(TypedDict):
    """What an aspect promoter gets: the dialogue history H_t and the state summary S_i."""

    aspect: AspectSpec
    history: Sequence[Utterance]
    state: str
    m: int


class GeneratorInput(TypedDict):
    """What the generator gets: the dialogue history H_t and the top-K candidates, best first."""

    history: Sequence[Utterance]
    topics: Sequence[RankedCandidate]


@dataclass(frozen=True)
class Backend:
    """One way to do the work of the three modules that understand and produce language.

    Attributes:
        tracker: Gives the state summary S_i.
        promoter: Gives up to m topic candidates; may give fewer, never a duplicate.
        generator: Gives the next utterance; streams when it is asked to.
    """

    tracker: Runnable[TrackerInput, str]
    promoter: Runnable[PromoterInput, list[Candidate]]
    generator: Runnable[GeneratorInput, AIMessage]
