"""What weighs answers: the shipped cross-encoder where it knows the task, else the regression."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage

from langgraph_cooper.graph import create_cooper, warm_up
from langgraph_cooper.nodes.offline import cross_encoder, reading
from langgraph_cooper.nodes.offline.answers import Answers
from langgraph_cooper.nodes.offline.cross_encoder import CrossEncoder
from langgraph_cooper.nodes.offline.reading import ShippedReader
from langgraph_cooper.nodes.pairs.model import PairError
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.model.encoder import load_encoder
from tests.support.rankers import embed

SAID = "My dog is ill and the vet cannot say what it is."
REPLIES = ["What does the vet say?", "Congratulations on the job!"]


def test_the_cross_encoder_prefers_what_fits() -> None:
    reader = ShippedReader(load_task("esc"), load_encoder().encode)
    fits, does_not = reader.weigh(SAID, REPLIES, [0.4, 0.4])
    assert fits > does_not + 0.1
    fits, does_not = reader.acceptable(SAID, ["Thank you for telling me that.", REPLIES[1]])
    assert fits > 0.5 > does_not
    assert reader.reads


@pytest.mark.parametrize("other", ["task", "answers", "encoder"])
def test_the_regression_decides_for_what_it_does_not_know(other: str) -> None:
    task = load_task("examples/negotiation.toml" if other == "task" else "esc")
    if other == "answers":
        task = task.model_copy(update={"answers": task.answers[:1]})
    reader = ShippedReader(task, embed if other == "encoder" else load_encoder().encode)
    assert not reader.reads
    assert Answers(task, embed, reader=reader).reader is None


@pytest.fixture
def forgotten() -> Iterator[None]:
    reading.shipped_cross_encoder.forget()
    reading.known_tasks.forget()
    yield
    reading.shipped_cross_encoder.forget()
    reading.known_tasks.forget()


@pytest.mark.usefixtures("forgotten")
def test_the_regression_decides_where_it_cannot_be_loaded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def read(*_: object) -> None:
        raise PairError("it is damaged")

    monkeypatch.setattr(cross_encoder, "read_cross_encoder", read)
    reader = ShippedReader(load_task("esc"), load_encoder().encode)
    with caplog.at_level(logging.WARNING):
        assert not reader.reads
        assert not reader.reads
    assert caplog.text.count("it is damaged") == 1


@pytest.mark.usefixtures("forgotten")
def test_a_graph_that_was_warmed_up_loads_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[object] = []
    read = cross_encoder.read_cross_encoder

    def counted(*given: Path) -> CrossEncoder:
        loaded.append(given)
        return read(*given)

    monkeypatch.setattr(cross_encoder, "read_cross_encoder", counted)
    warm_up(graph := create_cooper("esc"))
    assert len(loaded) == 1
    graph.compile().invoke({"messages": [HumanMessage("The balcony faces north-east there.")]})
    assert len(loaded) == 1


@pytest.mark.usefixtures("forgotten")
def test_a_damaged_configuration_is_told_of_and_nothing_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    monkeypatch.setattr(cross_encoder, "SHIPPED", tmp_path)
    with caplog.at_level(logging.WARNING):
        assert not ShippedReader(load_task("esc"), load_encoder().encode).reads
    assert "train answers" in caplog.text
