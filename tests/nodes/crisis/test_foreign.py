"""Phrases of a crisis are found in other languages, and their idioms and denials are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from langgraph_cooper.nodes.crisis import foreign
from langgraph_cooper.nodes.crisis.answers import answer_of, says_safe
from langgraph_cooper.nodes.crisis.foreign import (
    Foreign,
    LanguageBook,
    foreign_phrase,
    read_language,
    words_of,
)
from langgraph_cooper.nodes.crisis.phrases import crisis_kind
from langgraph_cooper.nodes.crisis.reading import read_meaning, read_phrases

LANGUAGES = sorted(foreign.language_books())
LINES = Path(__file__).parents[2] / "faults" / "crisis_languages"


def lines(code: str, how: str) -> list[tuple[str, str]]:
    """Return the kinds and texts that the phrases were written with."""
    rows = (LINES / f"{code}.tsv").read_text(encoding="utf-8").splitlines()
    split = [row.split("\t") for row in rows]
    return [(kind, text) for _, kind, manner, text in split if manner == how]


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_usual_words_are_certain_and_what_looks_like_them_is_nothing(code: str) -> None:
    told = [(kind, foreign_phrase(text)) for kind, text in lines(code, "plain")]
    assert sum(found is not None and found.certain for _, found in told) >= 0.9 * len(told)
    assert sum(found is not None and found.kind == kind for kind, found in told) >= 0.8 * len(told)
    harmless = [*lines(code, "trap"), *lines(code, "ordinary")]
    fired = [text for _, text in harmless if foreign_phrase(text)]
    assert len(fired) <= 1
    assert not [text for text in fired if (found := foreign_phrase(text)) and found.certain]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Ya no quiero vivir.", "suicide"),
        ("YA NO QUIERO VIVIIIR", "suicide"),
        ("J’ai envie de mourir", "suicide"),
        ("ich will nicht mehr leben", "suicide"),
        ("não quero mais viver", "suicide"),
        ("nao quero mais viver", "suicide"),
        ("Voglio morire.", "suicide"),
        ("ik wil dood", "suicide"),
        ("nie chcę już żyć", "suicide"),
        ("хочу умереть", "suicide"),
        ("ölmek istiyorum", "suicide"),
        ("olmek istiyorum artik", "suicide"),
        ("我不想活了", "suicide"),
        ("मैं मरना चाहता हूँ", "suicide"),
        ("main marna chahta hu", "suicide"),
        ("أريد أن أموت", "suicide"),
    ],
)
def test_plain_words_are_certain(text: str, kind: str) -> None:
    assert read_meaning(text)[:2] == ("certain", kind)
    assert crisis_kind(text) == kind


@pytest.mark.parametrize(
    "text",
    [
        "no quiero morir",
        "je ne veux pas mourir",
        "Ich will nicht sterben.",
        "não quero morrer",
        "non voglio morire",
        "ik wil niet dood",
        "nie chcę umrzeć",
        "не хочу умирать",
        "ölmek istemiyorum",
        "我不想死",
        "मैं मरना नहीं चाहता",
        "لا أريد أن أموت",
        "me muero de risa",
        "笑死我了",
        "I want to eat a whole cake",
    ],
)
def test_denials_and_idioms_are_nothing(text: str) -> None:
    assert foreign_phrase(text) is None
    assert read_phrases(text).tier == "none"


def test_the_models_do_not_read_another_language() -> None:
    """They took every second ordinary message in Spanish or German for a concern."""
    said = "Hoy ha llovido todo el día y el perro no ha querido salir de casa."
    assert read_meaning(said).tier == "none"
    said = "Gestern haben wir meiner Mutter beim Umzug geholfen, jetzt tut mir alles weh."
    assert read_meaning(said).tier == "none"


def test_a_hint_is_a_concern() -> None:
    book = read_language("""
language = "Test"
harmless = ["wobbly <thing>"]
[words]
thing = ["bridge", "crane top"]
[[kinds]]
name = "suicide"
certain = ["grumpf (now|soon) ~2 off"]
concern = ["<thing>"]
[answers]
yes = ["yo"]
""")
    read = LanguageBook(book)

    def find(text: str) -> Foreign | None:
        return read.find("".join(f"{word} " for word in words_of(text)))

    assert find("Ön the BRÎDGE!") == Foreign("suicide", certain=False)
    assert find("the crane top, grumpf now or never off") == Foreign("suicide", certain=True)
    assert find("a wobbly bridge") is None
    assert find("crane") is None
    assert read.answer("yo ") == "yes"
    assert read.answer("yo man ") is None


def test_signs_without_spaces_are_words_and_vowel_signs_stay() -> None:
    assert words_of("我不想活了。") == list("我不想活了")
    assert words_of("जीना जाना") == ["जीना", "जाना"]
    assert words_of("Être, ÉTÉ; l'ami łódź ışık") == ["etre", "ete", "lami", "lodz", "isik"]


@pytest.mark.parametrize(
    ("text", "answer", "safe"),
    [
        ("Sí.", "yes", True),
        ("oui", "yes", True),
        ("Nein!", "no", False),
        ("нет", "no", False),
        ("हाँ", "yes", True),
        ("sí, estoy a salvo", "unclear", True),
        ("Ich bin in Sicherheit", "unclear", True),
        ("我现在安全", "unclear", True),
        ("Nein, aber manchmal schon", "unclear", False),
        ("sí, pero no por mucho tiempo", "unclear", False),
        ("sí pero no", "unclear", False),
        ("sí\nmañana muero", "unclear", False),
        ("¿Sí?", "yes", False),
        ("oui non", "unclear", False),
        ("ja nie wiem", "unclear", False),
        ("si muero hoy", "unclear", False),
        ("a veces", "unclear", False),
        ("manchmal", "unclear", False),
        ("estoy seguro", "unclear", False),
        ("no puedo más", "unclear", False),
        ("no tak", "unclear", False),
        ("Tak.", "unclear", False),
        ("是的我现在安全了,谢谢", "unclear", True),
        ("Ha!", "unclear", False),
    ],
)
def test_whole_answers_are_read(text: str, answer: str, safe: bool) -> None:
    assert answer_of(text) == answer
    assert says_safe(text, "suicide") == safe


@pytest.mark.parametrize(
    "text",
    [
        "Selbstmord",
        "zelfmoord!",
        "suicidarme",
        "No quiero vivir, I feel very bad today",
        "sorry my english is not good but 我想自杀 and nobody understands me",
        "my english is bad but quiero matarme and nobody understands me",
        "I had a terrible day at work and now ich will mich umbringen",
    ],
)
def test_single_words_and_parts_of_an_english_message_are_heard(text: str) -> None:
    assert read_meaning(text).tier != "none"


def test_it_is_safe_is_no_answer_about_others() -> None:
    assert not says_safe("Ich bin in Sicherheit", "other")
    assert says_safe("Ja", "other")


@pytest.mark.parametrize("text", ["language = 3", "language = 'x'\nkinds = [{name = 'rage'}]"])
def test_a_malformed_file_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"LanguagePhrases"):
        read_language(text)
