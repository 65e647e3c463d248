"""Abuse is heard where a person does it, and not in idioms and denials."""

from __future__ import annotations

import pytest

from langgraph_cooper.nodes.language.subjects import subjects_in_play
from langgraph_cooper.prompts import Subject, load_task
from langgraph_cooper.prompts.task import Cues
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
        ("How do I get out of this abusive relationship?", True),
        ("I know it's abusive but I love him.", True),
        ("I can't take this emotional abuse any more.", True),
        ("Is this domestic violence?", True),
        ("He controls my life, threatens me", True),
        ("When he's in a bad mood, hits me", True),
        ("under stress, hits me", True),
        ("ignores my feelings; screams at me", True),
        ("It's abuse, isn't it?", True),
        ("My ex controls everything I do, even my phone.", True),
        ("It's not abuse.", False),
        ("He doesn't hit me every day, only when he drinks.", True),
        ("My dad died and it really hit me hard.", False),
        ("My anxiety controls me.", False),
        ("It hits me at night.", False),
        ("Why he left me, it beats me.", False),
        ("I'm not being abused.", False),
        ("He has never hit me.", False),
        ("This thing has hit me hard.", False),
        ("The exam hit me like a truck.", False),
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
        ("If just I can give", False),
        ("If so, I can give", True),
        ("If so but I can give", True),
        ("Ask me if. I can give", True),
        ("Never before I can give", False),
        ("Never before, I can give", True),
        ("I can give, once I had", True),
        ("I would, once I had", False),
        ("Once I had, I would", False),
        ("Once I had. I would", True),
        ("Never ever that I would", False),
        ("I would, I can give, once I had", True),
    ],
)
def test_words_beside_a_cue_rule_it_out(text: str, given: bool) -> None:
    gift = Subject(
        id="gift",
        phrase="a gift",
        cues=("i can give",),
        not_after=("if",),
        not_under=("never",),
        more=(Cues(cues=("i would",), not_with=("once i had",)),),
    )
    assert bool(subjects_in_play((gift,), [user(text)])) == given


def test_a_cue_without_rules_reaches_over_a_comma() -> None:
    more = (Cues(cues=("i decline",), not_after=("if",)),)
    no = Subject(id="no", phrase="a no", cues=("no thanks",), more=more)
    assert subjects_in_play((no,), [user("No, thanks")])
