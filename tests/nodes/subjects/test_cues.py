"""Abuse is heard where a person does it, and not in idioms and denials."""

from __future__ import annotations

import time

import pytest

from langgraph_cooper.nodes.subjects.in_play import subjects_in_play
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
        ("He doesn't hit me every day, only when he drinks.", True),
        ("My dad died and it really hit me hard.", False),
        ("My anxiety controls me.", False),
        ("It hits me at night.", False),
        ("Why he left me, it beats me.", False),
        ("I'm not being abused.", False),
        ("He has never hit me.", True),
        ("This thing has hit me hard.", False),
        ("The exam hit me like a truck.", False),
        ("Sometimes the sadness just hits me out of nowhere.", False),
        ("He doesn't always hit me.", True),
        ("He's not always abusive.", True),
        ("It's not just abusive, it's dangerous.", True),
        ("He doesn't just hit me, he humiliates me.", True),
        ("He never hits me in front of the kids.", True),
        ("He never hit me until last night.", True),
        ("He swore he'd never hit me again.", True),
        ("I wish my husband didn't hit me.", True),
        ("He didn't hit me this time.", True),
        ("I beg, don't hit me.", True),
        ("He isn't abusive when sober.", True),
        ("The love of my life hits me.", True),
        ("My husband with PTSD hits me.", True),
        ("My mom with depression hits me.", True),
        ("My brother with ADHD punches me.", True),
        ("My ex after the breakup threatened me.", True),
        ("My husband during lockdown hit me.", True),
        ("It hit me like a truck that my husband beats me.", True),
        ("He hits\nme", True),
        ("Nobody hits me.", False),
        ("I have never been abused.", False),
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
        ("Never much so I can give", True),
        ("Never so much that I can give", False),
        ("Never because I can give", True),
        ("I can\ngive", True),
        ("Never what I can give", False),
    ],
)
def test_words_beside_a_cue_rule_it_out(text: str, given: bool) -> None:
    gift = Subject(
        id="gift",
        phrase="a gift",
        cues=("i can give",),
        not_after=("if",),
        not_under=("never", "what i"),
        more=(Cues(cues=("i would",), not_with=("once i had",)),),
    )
    assert bool(subjects_in_play((gift,), [user(text)])) == given


@pytest.mark.parametrize("text", ["No, thanks", "No,\nthanks", "No :) thanks", "No. (Thanks.)"])
def test_a_cue_without_rules_reaches_over_the_ends_of_clauses(text: str) -> None:
    more = (Cues(cues=("i decline",), not_after=("if",)),)
    no = Subject(id="no", phrase="a no", cues=("no thanks",), more=more)
    assert subjects_in_play((no,), [user(text)])


def test_a_long_phrase_before_a_cue_rules_it_out() -> None:
    long = " ".join(["well"] * 40)
    no = Subject(id="no", phrase="a no", cues=("i decline",), not_after=(long,))
    assert not subjects_in_play((no,), [user(f"{long} just I decline")])
    assert subjects_in_play((no,), [user(f"{long} and so I decline")])


def test_a_clause_full_of_cues_is_read_in_a_moment() -> None:
    gift = Subject(
        id="gift", phrase="a gift", cues=("gift",), not_after=("a",), not_under=("a gift",)
    )
    start = time.perf_counter()
    assert not subjects_in_play((gift,), [user("a gift " * 20_000)])
    assert time.perf_counter() - start < 5
