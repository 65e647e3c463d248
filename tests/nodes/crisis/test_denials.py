"""A plain denial of any kind of crisis is believed; one that is limited or taken back is not."""

from __future__ import annotations

import time

import pytest

from langgraph_cooper.nodes.crisis.answers import answer_of
from langgraph_cooper.nodes.crisis.denials import PlainDenials
from langgraph_cooper.nodes.crisis.lexicon import denials, phrases
from langgraph_cooper.nodes.crisis.phrases import crisis_kind, denies, phrase_book, withdraws
from langgraph_cooper.nodes.crisis.reading import read_meaning

PLAIN = [
    "Suicide isn't something I'd ever consider.",
    "I have no intention of ending my life.",
    "Life feels pointless at times but I'm not going to end it.",
    "Don't get me wrong, I'm not about to jump off a bridge.",
    "It's not like I want to be dead, I'm just tired of the job.",
    "I've been low, but never so low that I thought about suicide.",
    "I can't say I've ever wanted to hurt myself.",
    "I've never cut or burned myself.",
    "No one at home hurts me, I'm safe there.",
    "My husband has never threatened me.",
    "I'm not being abused, we just don't get along.",
    "I'm not violent and I don't want to be.",
    "I don't own a gun and I don't want to shoot anyone.",
    "I'm angry at my boss but I'd never hurt him.",
    "My son says he doesn't want to kill himself and I believe him.",
    "My sister isn't in any danger.",
]
TAKEN_BACK = [
    "I said I don't want to die. That was a lie.",
    "I told my doctor I'm not suicidal, but I am.",
    "I never stopped wanting to die.",
    "I never thought about suicide until this week.",
    "I can't promise that I won't hurt myself.",
    "I'm not going to hurt myself today, maybe tomorrow.",
    "He doesn't hit me in the face, he knows that people would see.",
    "I haven't taken the pills yet.",
    "I haven't killed myself yet.",
    "There's no reason not to kill myself.",
    "I didn't mean to take so many pills, but I took them all.",
]
NOT_PLAIN = [
    "I don't want to die but I have the pills here.",
    "I'm not suicidal, but I've written the letters to my children.",
    "I don't want to kill myself, I want him to die, and I have a gun.",
    "It's not that I want to die, I just can't live like this, so I'm going to jump.",
    "I'm not in danger. But he says he will kill me if I leave.",
    "My husband never hits me when he's sober, only when he's drunk.",
    "My daughter says she isn't suicidal, but she cut her wrists.",
    "I try so hard to not kill myself.",
    "Why am I not dead?",
    "im not okay i want to kill myself",
    "I don't know if I won't kill myself tonight.",
    "I don't want to live.",
    "Nobody would miss me if I killed myself, I don't think anyone would care.",
]


@pytest.mark.parametrize("text", PLAIN)
def test_a_plain_denial_is_believed(text: str) -> None:
    assert denies(text)
    assert crisis_kind(text) is None
    assert read_meaning(text).tier == "none"


@pytest.mark.parametrize(
    "text",
    [
        "Me, jump off a roof? Girl, no, I can't even climb up to get the Christmas lights",
        "I was low last year, but I wasn't suicidal then and I'm not suicidal now, just tired",
        "Being broke is scary but no, I wouldn't ever take my life over a light bill",
        "I explained to the uni counsellor there's nothing like self-harm in my life.",
        "To save you some typing, I'm safe, and the only thing that's dying is my dishwasher.",
    ],
)
def test_a_phrase_whose_meaning_is_another_brings_no_question(text: str) -> None:
    assert crisis_kind(text)
    assert read_meaning(text).tier == "none"


@pytest.mark.parametrize(
    "text",
    [
        "I want to kill myself, I have never felt this low.",
        "Doctor asked about self harm while I had my sleeves pulled right down. Said no.",
        "She swears she isn't gonna hurt herself but she just texted me bye",
        "I wouldn't ever hurt the baby, but when she screams I've put the pillow near her.",
        "I'm in no way suicidal; I have, however, swallowed rather more of the tablets.",
        "No. I want to die.",
        "No, I'm suicidal.",
        "Nobody knows my dad beats me.",
        "I never told anyone my uncle raped me.",
        "They asked about it and I said no but I've been hurting myself.",
        "I think of suicide. No way around it.",
        "She asked if I was suicidal and I said no because I don't want to be locked up.",
        "Ticked no for suicide on the form so they let me go home to do it.",
    ],
)
def test_a_no_beside_it_hides_no_crisis(text: str) -> None:
    assert read_meaning(text).tier != "none"


@pytest.mark.parametrize("text", TAKEN_BACK)
def test_a_denial_that_is_taken_back_is_a_concern(text: str) -> None:
    assert withdraws(text)
    assert read_meaning(text).tier != "none"


@pytest.mark.parametrize("text", NOT_PLAIN)
def test_no_denial_silences_what_is_said_beside_it(text: str) -> None:
    assert read_meaning(text).tier != "none"


@pytest.mark.parametrize("text", [*PLAIN, "I'm not happy at work, but I am grateful.", "I'd lie."])
def test_a_plain_denial_is_not_taken_back(text: str) -> None:
    assert not withdraws(text)


@pytest.mark.parametrize(
    ("answer", "meant"),
    [
        ("I'm not, don't worry.", "no"),
        ("Not at all, I only feel stressed about work.", "no"),
        ("No thanks, I'm not suicidal, just sad.", "no"),
        ("I can honestly say no.", "no"),
        ("no thanks", "unclear"),
        ("no only on bad days", "unclear"),
        ("no, he only hits me", "unclear"),
    ],
)
def test_a_denial_answers_a_question(answer: str, meant: str) -> None:
    assert answer_of(answer) == meant


def test_many_denials_are_found_in_time() -> None:
    one = phrase_book().normalised("I never want to kill myself.")
    book, times = PlainDenials(denials(), phrases().words), 150_000
    began = time.thread_time()
    assert sum(1 for _ in book.spans(one * times)) >= times
    assert time.thread_time() - began < 8
