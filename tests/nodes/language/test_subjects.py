"""Abuse is heard where a person does it, and not in idioms and denials."""

from __future__ import annotations

import pytest

from langgraph_cooper.nodes.language.subjects import subjects_in_play
from langgraph_cooper.prompts import Subject, load_task
from tests.support.talk import user


@pytest.mark.parametrize(
    ("text", "abused"),
    [
        ("My husband hit me yesterday.", True),
        ("He beats me when he drinks.", True),
        ("He gets drunk and hits me.", True),
        ("I have a boyfriend that hits me.", True),
        ("He had never hit me before.", True),
        ("I was abused as a child.", True),
        ("It hits me that he hits me.", True),
        ("It hits me. He hit me.", True),
        ("My dad died and it really hit me hard.", False),
        ("My anxiety controls me.", False),
        ("It hits me at night.", False),
        ("Why he left me, it beats me.", False),
        ("I'm not being abused.", False),
        ("He has never hit me.", False),
        ("Sometimes the sadness just hits me out of nowhere.", False),
    ],
)
def test_abuse_is_done_by_somebody(text: str, abused: bool) -> None:
    found = subjects_in_play(load_task("esc").subjects, [user(text)])
    assert ("abuse" in {subject.id for subject in found}) == abused


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("I can give", True),
        ("If I can give", False),
        ("If I just can give", False),
        ("If so, I can give", True),
        ("Ask me if. I can give", True),
        ("I can give? but", True),
        ("I can give but", False),
        ("I can give but I can give", True),
    ],
)
def test_words_beside_a_cue_rule_it_out(text: str, given: bool) -> None:
    gift = Subject(
        id="gift",
        phrase="a gift",
        cues=("i can give", "can give"),
        not_after=("if", "if i"),
        not_before=("but",),
    )
    assert bool(subjects_in_play((gift,), [user(text)])) == given
