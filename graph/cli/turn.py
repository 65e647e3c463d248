"""One turn of a conversation as the terminal sees it: run, streamed, and told."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph

from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.generator import STANDS_IN
from langgraph_cooper.nodes.language.thoughts import without_thoughts
from langgraph_cooper.nodes.state import Fault
from langgraph_cooper.prompts import TaskSpec

SPEAKERS = ("guard", "generator", "reply_guard")
"""The nodes whose words are for the person."""

Graph = CompiledStateGraph[Any, CooperContext, Any, Any]


@dataclass
class Turn:
    """What came of a turn: the state after it, and how long it took in seconds."""

    user: str | None
    state: Mapping[str, Any]
    seconds: float

    @property
    def reply(self) -> str:
        """The utterance that the turn ended with."""
        text: str = self.state["messages"][-1].text
        return text

    def record(self, task: TaskSpec) -> dict[str, Any]:
        """The turn as `cooper chat --json` prints it."""
        return {
            "turn": self.state["cooper"]["round"],
            "user": self.user,
            "reply": self.reply,
            "aspects": {name: _aspect(self.state.get(name, {})) for name in task.aspect_names},
            "ranking": [
                {key: ranked[key] for key in ("rank", "score", "aspect", "strategy", "topic")}
                for ranked in self.state.get("ranking", [])
            ],
            "faults": [{"aspect": name, **fault} for name, fault in faults_of(task, self.state)],
            "seconds": round(self.seconds, 3),
        }


def _aspect(report: Mapping[str, Any]) -> dict[str, Any]:
    targets = report.get("targets") or []
    return {
        "state": report.get("state", ""),
        "progress": report.get("progress", 0.0),
        "target": targets[0]["text"] if targets else None,
        "candidates": [
            {"topic": c["topic"], "strategy": c["strategy"]} for c in report.get("candidates", [])
        ],
    }


def faults_of(task: TaskSpec, state: Mapping[str, Any]) -> list[tuple[str | None, Fault]]:
    """What failed in a turn, with the aspect whose agent it was in."""
    lanes = [(name, f) for name in task.aspect_names for f in state.get(name, {}).get("faults", [])]
    return [*lanes, *((None, fault) for fault in state.get("cooper", {}).get("faults", []))]


class TurnRun:
    """A turn under way. Iterate over it for the reply's pieces as they come; then read `turn`.

    A None among them says that what came before was cut off, and that another reply follows.
    """

    def __init__(
        self, graph: Graph, config: RunnableConfig, user: str | None, resume: bool
    ) -> None:
        self._graph = graph
        self._config = config
        self._user = user
        self._resume = resume
        self.state: dict[str, Any] = {}
        self.turn: Turn | None = None

    def __iter__(self) -> Iterator[str | None]:
        shown = False
        for _, pieces in groupby(self._pieces(), key=lambda piece: piece[0]):
            whole = without_thoughts(text for _, text in pieces)
            for number, piece in enumerate(whole):
                if shown and number == 0:
                    yield None
                yield piece
                shown = True

    def _pieces(self) -> Iterator[tuple[bool, str]]:
        """What is said, and whether it stands in for the words of a model that were heard before.

        What was shown cannot be taken back; what is said instead follows it.
        """
        began, speaker = time.perf_counter(), ""
        said = [HumanMessage(self._user)] if self._user is not None else []
        stream = self._graph.stream(
            None if self._resume else {"messages": said},
            self._config,
            stream_mode=["messages", "values"],
            durability="sync",
            version="v2",
        )
        for part in stream:
            if part["type"] == "values":
                self.state = part["data"]
            elif part["type"] == "messages":
                chunk, metadata = part["data"]
                node = metadata["langgraph_node"]
                if chunk.text and node in SPEAKERS and isinstance(chunk, AIMessage):
                    speaker = speaker or node
                    yield STANDS_IN in metadata or node != speaker, chunk.text
        self.turn = Turn(self._user, self.state, time.perf_counter() - began)
