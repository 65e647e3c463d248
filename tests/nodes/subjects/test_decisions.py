"""The model that reads decisions is loaded once, and told of where it cannot be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from langgraph_cooper.graph import create_cooper, warm_up
from langgraph_cooper.nodes.language.remembering import remembered
from langgraph_cooper.nodes.pairs.form import Pair
from langgraph_cooper.nodes.pairs.model import PairError
from langgraph_cooper.nodes.subjects import decider, decisions
from langgraph_cooper.nodes.subjects.decisions import read_decision

ASKED = Pair("Would you give a dollar to the children?", "No, thank you.")


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No model was loaded, and nothing read."""
    for name in ("_read", "_read_there"):
        function: Callable[[str], Any] = getattr(decisions, name)
        monkeypatch.setattr(decisions, name, remembered(9)(function.__wrapped__))  # type: ignore[attr-defined]
    decisions.shipped_decider.forget()
    yield
    decisions.shipped_decider.forget()


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders from which a model was loaded."""
    folders: list[Path] = []
    read = decider.read_decider

    def counted(folder: Path) -> decider.Decider:
        folders.append(folder)
        return read(folder)

    monkeypatch.setattr(decider, "read_decider", counted)
    return folders


def test_threads_that_ask_at_once_load_and_read_once(loaded: list[Path]) -> None:
    pairs = [Pair(ASKED.first, f"No, thank you{'!' * (n % 4)}") for n in range(32)]
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(read_decision, pairs)) == {"refuses"}
    assert loaded == [decider.SHIPPED]


def test_a_graph_that_was_warmed_up_loads_nothing_more(loaded: list[Path]) -> None:
    warm_up(create_cooper("persuasion"))
    assert len(loaded) == 1
    assert read_decision(ASKED) == "refuses"
    assert len(loaded) == 1


def test_a_task_without_decisions_loads_none(loaded: list[Path]) -> None:
    warm_up(create_cooper("esc"))
    assert not loaded


def test_a_model_that_cannot_be_loaded_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def read(_: Path) -> None:
        raise PairError("it is damaged")

    monkeypatch.setattr(decider, "read_decider", read)
    with caplog.at_level(logging.WARNING):
        assert read_decision(ASKED) is None
        assert read_decision(Pair("", "ok")) is None
    assert caplog.text.count("it is damaged") == 1
    assert "cue words alone" in caplog.text
