"""Answers to a question about safety: only a clear no ends a concern, only a clear yes a crisis."""

from __future__ import annotations

from typing import get_args

import pytest

from langgraph_cooper.nodes.crisis.answers import answer_of, says_safe
from langgraph_cooper.prompts import CrisisKind

# The kinds whose question about safety is about the user, and those where it is about others.
ONESELF: tuple[CrisisKind, ...] = ("suicide", "self_harm", "danger")
OTHERS: tuple[CrisisKind, ...] = ("other", "violence")


@pytest.mark.parametrize(
    "text",
    ["yes", "Yes, every night.", "yeah", "sometimes", "I guess", "i think about it", "I do",
     "kind of", "well yes", "most nights", "maybe", "i have been thinking about it"],
)  # fmt: skip
def test_a_yes_and_a_hedge_are_a_yes(text: str) -> None:
    assert answer_of(text) == "yes"


@pytest.mark.parametrize(
    "text",
    ["no", "No.", "nope", "noooo", "God no", "I'm not suicidal", "I never think of hurting myself.",
     "no. I just feel terrible", "No I would never do that to my kids", "nothing like that",
     "I don't want to die", "Haha no", "I am ok", "nobody is hurting me"],
)  # fmt: skip
def test_a_clear_no(text: str) -> None:
    assert answer_of(text) == "no"


@pytest.mark.parametrize(
    "text",
    ["not really", "no but sometimes", "I don't know", "No one would miss me", "no idea", "no more",
     "what do you mean?", "my boss called", "I don't care", "I don't want to be here",
     "never mind", "no point", "not anymore", "none of your business", "im not ok", "", "no use",
     "I don't want to talk about it", "not right now", "he hits me", "Right now I can't sleep"],
)  # fmt: skip
def test_anything_else_is_unclear(text: str) -> None:
    assert answer_of(text) == "unclear"


@pytest.mark.parametrize(
    "text",
    ["yes", "I'm safe", "i am safe now", "yes I'm safe, my sister is here", "Yes we are safe",
     "safe", "I'm not in danger", "I am", "of course", "Yes, we're safe now", "we're all safe",
     "I told you I'm safe", "He left and we are safe"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ONESELF)
def test_a_safe_person_says_so(text: str, kind: CrisisKind) -> None:
    assert says_safe(text, kind)


@pytest.mark.parametrize(
    "text",
    ["no", "I'm not safe", "not sure if im safe", "ok", "can we go on?", "I don't feel safe", "",
     "sometimes", "I called 988", "I guess", "let us talk about my job", "I'm fine",
     "yes but I still want to die", "I am never safe here", "is it safe to talk?"],
)  # fmt: skip
@pytest.mark.parametrize("kind", get_args(CrisisKind))
def test_anything_else_does_not_lift_the_guard(text: str, kind: CrisisKind) -> None:
    assert not says_safe(text, kind)


@pytest.mark.parametrize(
    "text",
    ["yes", "Yes, they are.", "They are.", "They are safe.", "Yes, they're safe.", "yes he is",
     "He is safe.", "She's safe now, she is with mum", "Everybody is safe.", "we're all safe",
     "Everyone is safe now.", "Yes, everyone's safe, thanks", "my little brother's safe",
     "My dad's safe now, thanks", "My brother's safe at home", "My sister is safe with my mum",
     "They're not in danger", "Everybody is safe now.",
     "I spoke to her and she is safe", "I called him\nhe is out of danger",
     "I told you she's safe"],
)  # fmt: skip
@pytest.mark.parametrize("kind", OTHERS)
def test_asked_about_others_one_says_that_they_are_safe(text: str, kind: CrisisKind) -> None:
    assert says_safe(text, kind)


@pytest.mark.parametrize(
    "text",
    ["I'm safe", "yes, but he has a knife", "are they safe?", "are they safe", "he isn't safe",
     "is everybody safe", "she says she is safe but I don't believe it", "She says she's safe",
     "he told me he is safe", "my mum said they are safe", "I think they are safe",
     "he will be safe", "They are safe, I hope", "They are safe, I think",
     "everybody is safe for now", "they are safe until friday", "he is safe today",
     "not everybody is safe",
     "everyone is safe except me", "everyone is safe without me", "nobody is safe",
     "I have to know that they are safe", "make sure they are safe", "They're safe. He is not.",
     "im not in danger, he is", "she is safe in heaven now", "they're safe? can we go on?",
     "when they are safe I'll tell you", "I doubt everyone is safe",
     # partly, for a time, or as a plan
     "She's safe, he isn't, I can't reach him", "She is safe and he's not answering",
     "My sister is safe, my mum isn't answering", "They are safe, dad doesn't pick up",
     "They're safe so far", "They are safe for the moment", "They're safe at the moment.",
     "I'll leave and everybody is safe", "I am going to leave and everybody is safe",
     "Everybody is safe after tonight", "Everyone is safe tomorrow",
     # strongboxes, places and words
     "My dad's safe is open", "My dad's safe isn't locked", "My dad's safe has money in it",
     "My husband's safe place is the garage", "My friend's safe at home is open",
     "everyone's safe word is red"],
)  # fmt: skip
@pytest.mark.parametrize("kind", OTHERS)
def test_hearsay_and_hopes_about_others_lift_nothing(text: str, kind: CrisisKind) -> None:
    assert not says_safe(text, kind)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("They are safe.", ()),
        ("he is safe now", ()),
        ("yes he is", ()),
        ("Everybody is safe", ("danger",)),  # also the user, whom somebody else hurts
        ("make sure everybody is safe", ()),
    ],
)
def test_asked_about_oneself_others_do_not_count(text: str, kinds: tuple[CrisisKind, ...]) -> None:
    assert tuple(kind for kind in ONESELF if says_safe(text, kind)) == kinds


@pytest.mark.parametrize(
    "text",
    ["Everyone is safe apart from me", "Everybody is safe besides me", "Everyone is safe, he says",
     "Everyone is safe tonight", "He says I'm safe", "He told me I'm safe", "She thinks we're safe",
     "My husband keeps saying I'm safe", "My mum promised me that we are safe",
     "We were safe at my mum's. He found us", "We're safe at my mum's. He found us.",
     "They were safe", "the kids were safe", "I'm safe. He is."],
)  # fmt: skip
@pytest.mark.parametrize("kind", ONESELF)
def test_hearsay_and_what_was_say_nothing_of_oneself(text: str, kind: CrisisKind) -> None:
    assert not says_safe(text, kind)


@pytest.mark.parametrize(
    "text",
    ["I'm safe, can we go on talking?", "im safe can we go on",
     "I am safe. Can we talk about my job?", "I'm safe and I want to talk about my exam",
     "Yes, I'm safe now. I'd like to go on.", "Can we go on talking? I'm safe.",
     "I'm safe, I still need to talk about my boss", "I'm safe, could we get back to my exam?"],
)  # fmt: skip
def test_a_request_to_go_on_takes_nothing_back(text: str) -> None:
    assert says_safe(text, "suicide")
    assert says_safe(text.replace("I'm", "They are").replace("I am", "They are")
                     .replace("im", "they are"), "other")  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["yes, can we go on?", "can we go on?", "I want to go on", "am I safe, can we go on?",
     "I'm safe? can we go on?", "im safe?can we go on?", "I'm safe if we can go on talking",
     "I'm safe, but can we go on?",
     "When I'm safe, can we go on?", "I'm safe until friday, can we go on?",
     "I'm not safe, can we go on?", "I'm safe, can we talk about how I could do it?",
     "I'm safe, can we talk about the pills?", "I'm safe, should I tell him?",
     "I'm safe, can we go on until he comes?", "I'm safe, I can't go on"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ONESELF)
def test_a_request_alone_or_with_a_doubt_lifts_nothing(text: str, kind: CrisisKind) -> None:
    assert not says_safe(text, kind)


@pytest.mark.parametrize(
    "text",
    [
        "no. i mean yes",
        "no... yes",
        "nah i mean yeah",
        "no wait yes",
        "no lie, yes",
        "no doubt",
        "no question",
        "no, I took the pills",
        "no, I already did",
        "no, it's too late",
        "no I've decided",
        "no i just want to disappear",
        "no, just ready to go",
        "no, goodbye",
        "No plans, just thoughts",
        "no only on bad days",
        "no not all the time",
        "no he only hits me",
        "I'm not going to lie, yes",
        "im not thinking about anything else",
        "im not thinking, i'm doing it",
        "im not afraid to die",
        "i dont do it every day",
        "i dont cut that deep",
        "i dont hurt myself much",
        "i havent planned how",
        "i dont think about anything else",
        "never thought I'd say it, yes",
        "its not that i want to",
        "it's not that simple",
        "nobody hurts me, i hurt myself",
        "not me, my brother is",
        "not that often",
        "im ok with dying",
        "I'm not going to make it",
        "im not planning on living",
        "i dont plan to be here at christmas",
    ],
)
def test_a_no_that_is_taken_back_is_no_clear_one(text: str) -> None:
    assert answer_of(text) != "no"


@pytest.mark.parametrize(
    "text",
    [
        "probably not",
        "maybe not",
        "I guess not",
        "Yeah, no.",
        "almost never",
        "I could never",
        "yes?",
        "Today my boss yelled at me again",
        "tonight I have a date",
        "A lot has happened at work",
        "A little better today, thanks",
        "almost done with my exams",
        "I could use a coffee",
        "kind of you to ask, no",
        "correct me if I'm wrong",
        "Maybe we can talk about something else?",
        "most days I am fine",
    ],
)
def test_ordinary_talk_and_denials_are_no_yes(text: str) -> None:
    assert answer_of(text) != "yes"


@pytest.mark.parametrize(
    "text",
    [
        "I keep thinking about it",
        "i think about ending it",
        "i do sometimes",
        "all the time",
        "im afraid so",
        "true",
        "yes I took them",
        "yes I have the pills",
        "yes, I have a knife",
        "yes I still want to",
        "yes, I will do it tomorrow",
        "yes he has a gun",
        "yes please help me",
        "yes until he comes home",
        "yeah no",
        "yes not really",
        "I don't think I am safe",
        "I dont think i can stay safe",
        "I won't be safe",
        "I'm not going to be safe",
        "I haven't been safe",
        "I doubt I'm safe",
        "I'm far from safe",
        "nobody is safe",
        "I want to be safe",
        "I wish I was safe",
        "how do I stay safe",
        "is it safe?",
        "am I safe?",
        "what do you mean safe",
        "the gun is in the safe",
        "I hid the pills somewhere safe",
        "the kids are safe with my mum",
        "everyone is safe without me",
        "she is safe, I am not",
        "im not in danger, he is",
        "I'm safe. goodbye",
        "im safe until friday",
        "i am safe enough to do it",
        "I'll tell you when I'm safe",
        "I'm safe as long as he is away",
    ],
)
@pytest.mark.parametrize("kind", get_args(CrisisKind))
def test_words_of_danger_about_safety_lift_nothing(text: str, kind: CrisisKind) -> None:
    assert not says_safe(text, kind)
