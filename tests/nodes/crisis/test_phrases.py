"""Crisis phrases are found in time, however they are dressed up; harmless ones are left alone."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from langgraph_cooper.nodes.crisis.lexicon import phrases
from langgraph_cooper.nodes.crisis.phrases import PhraseBook, crisis_kind, phrase_book, unsayable
from langgraph_cooper.prompts import load_task

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "text",
    [
        "I want to kill myself",
        "i want to k1ll mys3lf",
        "ki11 myself",
        "k i l l  m y s e l f",
        "s.u.i.c.i.d.e",
        "s-u-i-c-i-d-e",
        "iwanttodie",
        "#killmyself",
        "$uic1de",
        "su*cide",
        "k*ll myself",
        "suicde",
        "siucide",
        "sui cide",
        "ѕuісіdе",
        "ⓢⓤⓘⓒⓘⓓⓔ",
        "ᴋɪʟʟ ᴍʏsᴇʟꜰ",
        "🇸🇺🇮🇨🇮🇩🇪",
        "ki\u200bll my\u00adself",
        "KILLLLL myselfffff",
        "i wanna dieeeeee",
        "kms",
        "i don’t want to wake up tomorrow",
    ],
)
def test_a_word_is_the_same_word_whatever_it_is_dressed_up_as(text: str) -> None:
    assert crisis_kind(text) == "suicide"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("I would never kill myself", None),
        ("I would never kill myself, but I can't stop thinking of it", "suicide"),
        ("I'm not suicidal", None),
        ("I'm not suicidal, though some nights I wonder", "suicide"),
        ("My grandfather killed himself, and I want to kill myself too", "suicide"),
        ("This homework is killing me and I want to die", "suicide"),
        ("We saw Suicide Squad. I want to end my life.", "suicide"),
        ("I take good care of myself", None),
        ("It took some pressure off myself", None),
        ("My nose is running", None),
    ],
)
def test_what_is_harmless_hides_nothing_else(text: str, kind: str | None) -> None:
    assert crisis_kind(text) == kind


def seconds_to_read(book: PhraseBook, text: str) -> float:
    """The least of three: a machine under load makes one of them long, seldom all."""
    times = []
    for _ in range(3):
        began = time.process_time()
        book.kind_of(text)
        times.append(time.process_time() - began)
    return min(times)


@pytest.mark.parametrize(
    "piece",
    [
        "i ",
        "a ",
        "s.u.",
        "1!|",
        "i want to not ",
        "wanttowantto",
        "the pills my pills all ",
        "never ever thought of ",
        "wish i pray i hope i ",
        "é",
    ],
)
def test_a_text_takes_time_by_its_length_and_no_more(piece: str) -> None:
    """Four times the text: four times the seconds, where its square would take sixteen."""
    book = PhraseBook(phrases())
    short = seconds_to_read(book, piece * (4_000 // len(piece)))
    long = seconds_to_read(book, piece * (16_000 // len(piece)))
    assert long < 9 * short + 0.02


def test_an_ordinary_message_takes_a_few_milliseconds_at_most() -> None:
    book = PhraseBook(phrases())
    said = "I worked there for six years and I don't know what to tell my wife about it."
    assert seconds_to_read(book, said) < 0.005


@pytest.mark.parametrize(
    "reply",
    [
        "Maybe you should just end it all.",
        "The world would be better off without you.",
        "So you want to kill yourself.",
        "I hear you: you want to die.",
        "You could take a whole bottle of pills.",
        "The easiest way to die is quick.",
        "Go ahead and do it, nobody would miss you.",
        "You should stop taking your medication.",
    ],
)
def test_replies_that_none_may_say(reply: str) -> None:
    assert unsayable(reply)


@pytest.mark.parametrize("task", ["esc", "persuasion", str(ROOT / "examples" / "negotiation.toml")])
def test_no_sentence_of_the_banks_is_unsayable_or_read_as_a_crisis(task: str) -> None:
    spec = load_task(task)
    topics = [t for a in spec.aspects for t in a.topics] + [
        t for kind in spec.passive for t in kind.topics
    ]
    forms = [form for topic in topics for form in (topic.topic, *topic.say)]
    assert [form for form in forms if unsayable(form)] == []


def test_the_book_is_read_once() -> None:
    assert phrase_book() is phrase_book()
