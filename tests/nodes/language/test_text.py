"""Sentences, words, phrases, subjects, and giving back what was heard."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_cooper.nodes.language.text import (
    contains_phrase,
    echo,
    sentences,
    without_sentences,
    words,
)
from langgraph_cooper.nodes.subjects.in_play import subjects_in_play
from langgraph_cooper.prompts import Subject
from tests.support.talk import system, user


def test_sentences() -> None:
    assert sentences('I left. "Why?" Because... I had to!  ') == [
        "I left.",
        '"Why?',
        "Because...",
        "I had to!",
    ]
    assert sentences("  \n ") == []


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("I hear you. What happened? Rest.", "I hear you. Rest."),
        ("One.\n\nTwo. Why?\n\nThree.", "One.\n\nTwo.\n\nThree."),
        ("Try this:\n- a walk\n- a call\nWhich one?", "Try this:\n- a walk\n- a call"),
        ("1. What is it?\n2. Breathe.", "2. Breathe."),
        ('He said "stop." Then\nwhat did you\ndo? Fine.', 'He said "stop." Fine.'),
        ("Why?", ""),
    ],
)
def test_a_sentence_is_taken_out_and_paragraphs_and_lists_stay(text: str, left: str) -> None:
    assert without_sentences(text, lambda part: part.endswith("?")) == left


def test_words_have_straight_apostrophes_in_any_script() -> None:
    assert words("I\u2019m FINE, it's 9 o'clock!") == ["i'm", "fine", "it's", "9", "o'clock"]
    assert words("Schöne Grüße, 日本") == ["schöne", "grüße", "日本"]
    assert words("?! ...") == []


def test_phrases_are_whole_words() -> None:
    assert contains_phrase("Oh, HI there!", "hi")
    assert contains_phrase("I can\u2019t go on", "can't go")
    assert not contains_phrase("This is it", "hi")
    assert not contains_phrase("good", "good morning")


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("I lost my job.", "you lost your job"),
        ("I'm so tired of my boss!", "you're so tired of your boss"),
        ("I am afraid that I'll lose mine.", "you are afraid that you'll lose yours"),
        ("I was fired by my boss.", "you were fired by your boss"),
        ("I wasn't happy at work.", "you weren't happy at work"),
        ("My mom and I are fighting.", "your mom and you are fighting"),
        ("My mother was ill all year.", "your mother was ill all year"),
        ("i've been blaming myself, always", "you've been blaming yourself, always"),
        ("I\u2019m worried about my exam", "you're worried about your exam"),
        ("I don't know why I was chosen.", "you don't know why you were chosen"),
        ("I lost my job. It is hard.", "you lost your job"),
        ("I lost my job. I miss my old team.", "you miss your old team"),
    ],
)
def test_echo_turns_a_sentence_round(said: str, heard: str) -> None:
    assert echo(said) == heard


@pytest.mark.parametrize(
    "said",
    [
        "",
        "I am sad.",  # too short to be worth it
        "It is all too much.",
        "I wonder what you think of it.",
        "Am I wrong about my job?",
        "I think I should ask, right?",
        "I never was good at it.",
        "I was fired and was sad.",
        "My god I am so tired.",
        'I told him "my life is bad".',
        "I told my mom (my best friend) today.",
        "We lost our house last year.",
        "I love the café on my street.",
        "I went home and then I went out and then I came back and then I slept a while.",
    ],
)
def test_echo_leaves_alone_what_it_cannot_turn_safely(said: str) -> None:
    assert echo(said) is None


PIECES = ["I", "my", "me", "am", "was", "I'm", "mine", "lost", "job", "sad", "and", ",", "."]


@given(st.lists(st.sampled_from(PIECES), min_size=4, max_size=12))
def test_an_echo_speaks_of_the_other_person(said: list[str]) -> None:
    heard = echo("I lost " + " ".join(said))
    assert heard is None or not {"i", "my", "me", "am", "i'm", "mine"}.intersection(words(heard))


PARTNER = Subject(id="partner", phrase="your partner", cues=("my wife", "my husband"))
WORK = Subject(id="work", phrase="your work", cues=("job", "work"))
AGREES = Subject(id="agrees", phrase="giving", cues=("i will give",), unless=("refuses",))
REFUSES = Subject(id="refuses", phrase="a no", cues=("don't think i will give",))
SUBJECTS = (PARTNER, WORK, AGREES, REFUSES)


def test_the_latest_mention_comes_first() -> None:
    history = [user("My wife left me."), system("Oh."), user("And my JOB is gone too.")]
    assert subjects_in_play(SUBJECTS, history) == (WORK, PARTNER)
    assert subjects_in_play(SUBJECTS, [user("The job, my wife, the job")]) == (PARTNER, WORK)


def test_only_the_users_whole_words_count() -> None:
    assert subjects_in_play(SUBJECTS, [system("How is your job?"), user("Jobless workers")]) == ()


def test_unless_holds_within_one_utterance() -> None:
    assert subjects_in_play(SUBJECTS, [user("I don't think I will give.")]) == (REFUSES,)
    later = [user("I don't think I will give."), system("All right."), user("Well, I will give.")]
    assert subjects_in_play(SUBJECTS, later) == (AGREES, REFUSES)


def test_a_cue_without_words_is_in_no_text() -> None:
    smile = Subject(id="smile", phrase="a smile", cues=(":-)",))
    both = Subject(id="both", phrase="both", cues=("...", "tea"))
    assert subjects_in_play((smile, both), [user("Hello :-) ..."), user("?!")]) == ()
    assert subjects_in_play((smile, both), [user("tea?")]) == (both,)
