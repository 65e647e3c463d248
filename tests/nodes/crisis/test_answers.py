"""Answers to a question about safety: only a clear no ends a concern, only a clear yes a crisis."""

from __future__ import annotations

import pytest

from langgraph_cooper.nodes.crisis.answers import answer_of, says_safe


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
     "safe", "he's safe, he is with me", "I'm not in danger"],
)  # fmt: skip
def test_a_safe_person_says_so(text: str) -> None:
    assert says_safe(text)


@pytest.mark.parametrize(
    "text",
    ["no", "I'm not safe", "not sure if im safe", "ok", "can we go on?", "I don't feel safe", "",
     "sometimes", "I called 988", "I guess", "let us talk about my job", "I'm fine",
     "yes but I still want to die", "I am never safe here", "is it safe to talk?"],
)  # fmt: skip
def test_anything_else_does_not_lift_the_guard(text: str) -> None:
    assert not says_safe(text)
