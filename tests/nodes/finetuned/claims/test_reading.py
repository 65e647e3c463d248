"""A claim of a life is told by its meaning; without the model, by its words alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from langgraph_cooper.nodes.finetuned.claims import model, reading
from langgraph_cooper.nodes.finetuned.claims.reading import claims
from langgraph_cooper.nodes.finetuned.rules import Situation, broken
from langgraph_cooper.nodes.language.remembering import remembered
from langgraph_cooper.nodes.pairs.form import Pair
from langgraph_cooper.nodes.pairs.model import PairError
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.data.dialogue import Utterance

COLD = "It has been so cold here all week."


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No model was loaded, and nothing read."""
    function = reading._claims.__wrapped__  # type: ignore[attr-defined]
    monkeypatch.setattr(reading, "_claims", remembered(9)(function))
    reading.shipped_claims_model.forget()
    yield
    reading.shipped_claims_model.forget()


@pytest.mark.parametrize(
    "reply",
    [
        "Yes, the winds are blowing strong over here and we get very cold.",
        "My sister had the same trouble with her landlord.",
        "Same here, the heating broke down on Monday and the kids wear coats indoors.",
    ],
)
def test_a_claim_is_told_by_its_meaning(reply: str) -> None:
    assert claims(Pair(COLD, reply))


@pytest.mark.parametrize(
    "reply",
    [
        "I'm sorry to hear that. How do you keep warm?",
        "That sounds hard. Have you talked to your landlord about the heating?",
        "You could ask a neighbor for a spare heater.",
    ],
)
def test_sympathy_questions_and_advice_claim_none(reply: str) -> None:
    assert not claims(Pair(COLD, reply))


def test_it_is_one_of_the_rules() -> None:
    situation = Situation(load_task("esc"), [Utterance("user", COLD)])
    reply = "Same here, the heating broke down on Monday and the kids wear coats indoors."
    assert broken(situation, reply, ["meaning"]) == ("meaning", reply)
    for honest in (
        "How do you keep warm?",
        "I'm a program, so I feel no cold. How do you bear it?",
    ):
        assert broken(situation, honest, ["meaning"]) is None


@pytest.mark.usefixtures("forgotten")
def test_a_model_that_cannot_be_loaded_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def read(_: Path) -> None:
        raise PairError("it is damaged")

    monkeypatch.setattr(model, "read_claims_model", read)
    with caplog.at_level(logging.WARNING):
        assert not claims(Pair(COLD, "My sister had the same trouble."))
        assert not claims(Pair("", "My sister had the same trouble."))
    assert caplog.text.count("it is damaged") == 1
    assert "by their words alone" in caplog.text
