"""What a person at a terminal sees of faults."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from io import StringIO
from itertools import islice
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from rich.console import Console

from langgraph_cooper.graph import Turns, create_cooper
from langgraph_cooper.graph.cli.view import agents_view, fault_line
from langgraph_cooper.graph.threads.spoken import SpokenTurn
from langgraph_cooper.nodes import ModelError
from langgraph_cooper.nodes.generator import STANDS_IN
from langgraph_cooper.nodes.llm.quirks import habits_of
from langgraph_cooper.nodes.state import Fault
from langgraph_cooper.prompts import GuardSettings, load_task
from tests.support.rankers import FakeRanker
from tests.support.scripted import ScriptedModel
from tests.support.talk import candidate

ESC = load_task("esc")
LATE = "the model 'm' did not answer in time"


def state(**faults: list[Fault]) -> dict[str, Any]:
    return {name: {"faults": noted} for name, noted in faults.items()}


def fault(step: str, message: str = LATE) -> Fault:
    return Fault(step=step, kind="timeout", message=message)


def test_nothing_is_said_of_a_turn_without_faults() -> None:
    assert fault_line(ESC, {}) == ""
    assert fault_line(ESC, state(action=[], cooper=[])) == ""


def test_one_line_tells_who_failed_why_and_what_stands_in() -> None:
    assert fault_line(ESC, state(comforting=[fault("promoter")])) == (
        "the promoter of comforting: the model 'm' did not answer in time; the task's own topics "
        "stand in"
    )


def test_each_reason_is_told_once() -> None:
    both = [fault("tracker"), fault("promoter")]
    told = fault_line(ESC, state(exploration=both, action=both, cooper=[fault("generator")]))
    assert told == (
        "the tracker of exploration and action, the promoter of exploration and action and the "
        f"generator: {LATE}; there is no summary yet, the task's own topics stand in and a "
        "prepared reply stands in"
    )
    two = state(action=[fault("tracker", "A"), fault("promoter", "B")])
    two["action"]["state"] = "They lost a job."
    assert fault_line(ESC, two) == (
        "the tracker of action: A; its last summary stands in; "
        "the promoter of action: B; the task's own topics stand in"
    )


def test_on_a_first_turn_nothing_of_an_earlier_one_stands_in() -> None:
    first = state(action=[fault("tracker", "A")], comforting=[fault("progression", "B")])
    first["comforting"] |= {"state": "They are sad.", "progress": 0.0, "targets": []}
    assert fault_line(ESC, first) == (
        "the progression of comforting: B; there is no progress yet; "
        "the tracker of action: A; there is no summary yet"
    )
    first["comforting"]["targets"] = [{"text": "They feel calmer.", "weight": 1.0}]
    assert "its last progress stands in" in fault_line(ESC, first)


def test_stale_reports_and_the_banks_topics_are_marked() -> None:
    reports = {
        "exploration": {"state": "Old.", "stale": True, "candidates": [candidate("X")]},
        "comforting": {"state": "New.", "candidates": [candidate("Y", source="model")]},
        "action": {},
    }
    console = Console(width=150, file=StringIO())
    console.print(agents_view(ESC, reports, console.width))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown.count("exploration (stale)") == 1
    assert shown.count("(stale)") == 1
    assert shown.count("from the task's bank") == 1


class Breaking(ScriptedModel):
    """A generator that breaks off, after as many words as it is told."""

    words: int = 3

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        yield from islice(super()._stream(*args, **kwargs), self.words)
        raise ModelError("the model 'm' broke off", "cut")

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        for chunk in self._stream(*args, **{**kwargs, "run_manager": None}):
            yield chunk


@pytest.mark.parametrize(
    ("text", "words", "cut"),
    [
        ("I hear you, friend.", 3, ["I ", "hear ", "you, ", None]),
        ("I hear you, friend.", 0, []),
        ("<think>I had better wait</think> Yes.", 3, []),
    ],
    ids=["after some words", "before any", "while it thinks"],
)
def test_a_cut_reply_and_the_whole_one_are_told_apart(
    text: str, words: int, cut: list[str | None]
) -> None:
    swift = ESC.model_copy(update={"guard": GuardSettings(hold=False)})  # words as they come
    breaking = Breaking(script={"generator": text}, words=words)
    habits_of(breaking).thinks = False  # as after a first whole answer
    graph = create_cooper(
        swift,
        model=ScriptedModel(),
        generator_model=breaking,
        ranker=FakeRanker(),
    ).compile(checkpointer=InMemorySaver())
    run = SpokenTurn(Turns(graph), ESC, "1", "I lost my job.")
    pieces = list(run)
    assert pieces[: len(cut)] == cut
    assert "".join(piece or "" for piece in pieces[len(cut) :]) == run.record()["reply"]
    assert run.state["messages"][-1].response_metadata[STANDS_IN] == "cut"
    assert run.record()["faults"] == [
        {
            "aspect": None,
            "step": "generator",
            "kind": "cut",
            "message": "the model 'm' broke off",
        }
    ]
