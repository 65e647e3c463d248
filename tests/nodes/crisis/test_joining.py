"""Messages are read singly, and joined where only that makes a phrase."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from langgraph_cooper.nodes.crisis.course import Finding
from langgraph_cooper.nodes.crisis.joining import found_in
from langgraph_cooper.nodes.crisis.reading import read_meaning, read_phrases

DYING = "My phone's about to die, one sec."


@pytest.mark.parametrize("before", [[], ["I lost my job."], ["I lost my job.", "On Friday."]])
@pytest.mark.parametrize(
    "text",
    [
        DYING,
        "My plants commit suicide the moment I buy them.",
        "I used to hurt myself as a teenager, I haven't for ten years.",
    ],
)
def test_a_message_with_a_phrase_is_read_for_its_meaning_wherever_it_stands(
    text: str, before: list[str]
) -> None:
    assert found_in(before, [text], read_meaning).tier != "certain"


def test_it_is_no_graver_when_others_follow() -> None:
    assert found_in(["I lost my job.", DYING], ["Back."], read_meaning).tier == "none"
    assert found_in([], ["I lost my job.", DYING], read_meaning).tier != "certain"


@pytest.mark.parametrize(
    ("before", "new"),
    [
        (["I want to"], ["kill myself"]),
        ([], ["I want to", "kill myself"]),
        (["I lost my job.", "I want", "to end"], ["my life"]),
    ],
)
def test_messages_that_only_together_make_a_phrase_are_certain(
    before: list[str], new: list[str]
) -> None:
    assert found_in(before, new, read_meaning).tier == "certain"
    assert found_in(before, new, read_phrases) == Finding("certain", "suicide")


def test_a_phrase_across_messages_whose_meaning_is_another_is_none() -> None:
    def harmless(text: str, said: Sequence[str] = ()) -> Finding:
        return Finding()

    assert found_in(["I want to"], ["kill myself"], harmless) == Finding()


def test_another_kind_that_only_both_make_is_not_hidden_by_a_phrase_of_one() -> None:
    found = found_in(["My husband hits me. I want to"], ["kill myself"], read_phrases)
    assert found == Finding("certain", "suicide")
