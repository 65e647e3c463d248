"""Who did what to whom."""

from __future__ import annotations

import pytest

from langgraph_cooper.nodes.language.acts import acts, are_reversed


@pytest.mark.parametrize(
    ("one", "other", "is_reversed"),
    [
        ("My boyfriend broke up with me 6 months ago.", "I broke up with my boyfriend.", True),
        ("I finally left him.", "He left me.", True),
        ("I've left him", "He left me.", True),
        ("She cheated on me!", "i cheated on her", True),
        ("I was cheated on.", "I cheated on my boyfriend.", True),
        ("I just got dumped", "i dumped him", True),
        ("I told my mother.", "My mother told me.", True),
        ("I got fired.", "My boss fired me.", False),
        ("I'm hurt", "What she said hurt me.", False),
        ("I was told I have MS", "They told me I have MS.", False),
        ("He and I broke up.", "My girlfriend broke up with me.", False),
        ("He left me.", "My wife left me for my best friend.", False),
        ("I left after he left me.", "He left me.", False),
        ("I feel sad.", "He makes me sad.", False),
        ("", "I left.", False),
    ],
)
def test_who_did_it(one: str, other: str, is_reversed: bool) -> None:
    assert are_reversed(one, other) is is_reversed
    assert are_reversed(other, one) is is_reversed


def test_what_stands_between_is_skipped() -> None:
    assert acts("I have just quit, and they never got back to me.").done == {"quit"}
    assert acts("They lied to me.").met == {"lied"}
