"""Slips of the keyboard are corrected, and nothing else is."""

from __future__ import annotations

import pytest

from langgraph_cooper.nodes.language.spelling import corrected


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("i want to disapear tomorow", "i want to disappear tomorrow"),
        ("wake up tommorrow, plesae", "wake up tomorrow, please"),
        ("dissapear", "dissapear"),  # two letters are too many
        ("i wnat ot dei, i dotn care", "i want to die, i dont care"),  # swapped letters first
        ("jmup of the brige", "jump of the bridge"),
        ("HOPELSS and DEPRESED", "hopeless and depressed"),
    ],
)
def test_misspelt_words_are_replaced(text: str, meant: str) -> None:
    assert corrected(text).lower() == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I cant, dont and wont; neednt I?",
        "I can't and don't.",
        "Maureen called Siobhan from Krakow",  # names
        "Brayden hit me",
        "the piccalilli, the bollard and the lorry",
        "brb, idk, tbh, smth with the wifi",
        "gonna wanna gotta, im finna go, imma sleep, bruh",
        "x" * 100,
        "9,99 €",
        "tschüss, até amanhã",
    ],
)
def test_what_is_no_slip_stays(text: str) -> None:
    assert corrected(text) == text


def test_further_words_are_known() -> None:
    assert corrected("lefse, doin nothing") == "lease, doing nothing"
    assert corrected("lefse", {"lefse"}) == "lefse"
