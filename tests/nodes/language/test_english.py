"""Other languages are told from English, and English is never taken for another."""

from __future__ import annotations

import pytest

from langgraph_cooper.nodes.language.english import is_english, may_be_english


@pytest.mark.parametrize(
    "text",
    [
        "I lost my job.",
        "i dotn wnat to wkae up tomorow",
        "cnat do ths anymroe, gona jmup tonite",
        "Maureen, Siobhan and Agnieszka came for pierogi",
        "nan's knackered",
        "lol idk tbh",
        "i wan die abeg, e don do",
        "I said adios to my fiancé after the soirée",
    ],
)
def test_english_may_be_english_however_it_is_spelt(text: str) -> None:
    assert may_be_english(text)


@pytest.mark.parametrize(
    "text",
    [
        "Ya no quiero vivir así.",
        "j'ai perdu mon travail hier",
        "ich habe gestern meine Arbeit verloren",
        "nie wiem co robić dalej",
        "мне незачем жить",
        "我不想活了",
        "मैं जीना नहीं चाहता",
        "لا أريد أن أعيش",
    ],
)
def test_other_languages_are_not(text: str) -> None:
    assert not may_be_english(text)
    assert not is_english(text)


@pytest.mark.parametrize(
    "text",
    [
        "Ich weiß nicht mehr weiter. I took too many pills just now. Bitte hilf mir.",
        "i cant do this. Je ne sais pas quoi faire, vraiment, tout est noir",
        "quiero morir",  # two words tell too little
        "",
    ],
)
def test_where_in_doubt_it_may_be_english(text: str) -> None:
    assert may_be_english(text)


@pytest.mark.parametrize(
    ("text", "known"), [("thank you", True), ("don't!", True), ("quiero morir", False)]
)
def test_of_two_words_both_have_to_be_known(text: str, known: bool) -> None:
    assert is_english(text) == known
