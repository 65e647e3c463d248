"""Every text of the guard names help."""

from __future__ import annotations

import pytest

from langgraph_cooper.nodes import CooperContext
from langgraph_cooper.nodes.crisis.lexicon import phrases
from langgraph_cooper.nodes.guard import help_text
from langgraph_cooper.prompts import GuardSettings, help_texts


@pytest.mark.parametrize("country", [None, "ZZ", *help_texts().countries])
def test_every_text_names_help_and_harms_nobody(country: str | None) -> None:
    texts, context = help_texts(), CooperContext(country=country)
    place = texts.place(country)
    for kind in texts.first:
        for given in range(8):
            text = help_text(kind, given, context, GuardSettings())
            assert "{" not in text
            assert place.line in text or (place.abuse or "-") in text
            assert text.endswith(texts.safe[kind])
            if not given:
                assert place.emergency in text
                assert "program" in text
    assert {kind.name for kind in phrases().kinds} == set(texts.first)
    assert set(texts.first) == set(texts.ask) == set(texts.safe)


def test_the_country_of_the_run_goes_before_the_tasks() -> None:
    austria = GuardSettings(country="at")
    assert "142" in help_text("suicide", 0, CooperContext(), austria)
    assert "13 11 14" in help_text("suicide", 0, CooperContext(country="au"), austria)


@pytest.mark.parametrize(
    ("settings", "context"),
    [
        (GuardSettings(strict=True), CooperContext()),
        (GuardSettings(), CooperContext(strict_guard=True)),
        (GuardSettings(), CooperContext(review=True)),
    ],
)
def test_a_strict_guard_does_not_offer_to_go_on(settings, context) -> None:
    assert help_texts().safe["suicide"] not in help_text("suicide", 0, context, settings)
