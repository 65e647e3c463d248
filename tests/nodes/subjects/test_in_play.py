"""Decisions are read by meaning, with what was said before; by cue words where nothing reads."""

from __future__ import annotations

import pytest

from langgraph_cooper.nodes.pairs.form import Pair
from langgraph_cooper.nodes.subjects import in_play
from langgraph_cooper.nodes.subjects.in_play import READ, last_mentioned, subjects_in_play
from langgraph_cooper.prompts import Subject
from langgraph_cooper.ranker.data.dialogue import Utterance
from tests.support.talk import system, user

SUBJECTS = (
    Subject(id="cats", phrase="cats", cues=("my cat",)),
    Subject(id="no", phrase="a no", cues=("i won't",), decision="refuses", ends=("yes",)),
    Subject(id="yes", phrase="a yes", cues=("i will",), decision="agrees", ends=("no",)),
)
ASKED = system("Would you give a dollar?")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> dict[Pair, str | None]:
    """What the model says of pairs; "none" of all others."""
    known: dict[Pair, str | None] = {}
    monkeypatch.setattr(in_play, "read_decision", lambda pair: known.get(pair, "none"))
    return known


def found(*said: Utterance) -> list[str]:
    return [subject.id for subject in subjects_in_play(SUBJECTS, said)]


def test_a_decision_is_read_with_what_was_said_before(reads: dict[Pair, str | None]) -> None:
    reads[Pair(ASKED.text, "Nope, my cat needs it.")] = "refuses"
    assert found(ASKED, user("Nope, my cat needs it.")) == ["cats", "no"]
    assert found(user("Nope, my cat needs it.")) == ["cats"]


def test_meaning_counts_and_cue_words_do_not(reads: dict[Pair, str | None]) -> None:
    before = [user("Hello."), ASKED]
    assert found(*before, user("I won't lie, it is sad.")) == []
    reads[Pair(ASKED.text, "I will. Not.")] = "refuses"
    assert found(*before, user("I will. Not.")) == ["no"]


def test_what_only_refuses_more_is_neither(reads: dict[Pair, str | None]) -> None:
    reads[Pair("", "I will give a dollar.")] = "agrees"
    reads[Pair("Could it be two?", "One is all.")] = "enough"
    assert found(
        user("I will give a dollar."), system("Could it be two?"), user("One is all.")
    ) == ["yes"]


def test_a_later_decision_ends_an_earlier_one(reads: dict[Pair, str | None]) -> None:
    reads[Pair(ASKED.text, "Nope.")] = "refuses"
    reads[Pair("I see.", "Fine, here is one.")] = "agrees"
    talk = [ASKED, user("Nope."), system("I see."), user("Fine, here is one.")]
    assert found(*talk[:2]) == ["no"]
    assert found(*talk) == ["yes"]


def test_cue_words_count_where_nothing_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_play, "read_decision", lambda _: None)
    assert found(ASKED, user("I won't, my cat needs it.")) == ["cats", "no"]
    assert found(ASKED, user("Nope.")) == []


def test_of_a_long_conversation_the_last_messages_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[Pair] = []

    def decision(pair: Pair) -> str:
        read.append(pair)
        return "none"

    monkeypatch.setattr(in_play, "read_decision", decision)
    monkeypatch.setattr(in_play, "READ", 20)
    assert found(user("I won't."), *(user(f"It is day {n}.") for n in range(20))) == ["no"]
    assert len(read) == 20


def test_a_no_is_remembered_however_long_ago(reads: dict[Pair, str | None]) -> None:
    reads[Pair(ASKED.text, "Hard pass.")] = "refuses"
    later = [user(f"It is day {n}.") for n in range(READ - 1)]
    assert found(ASKED, user("Hard pass."), *later) == ["no"]


def test_messages_before_a_decision_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def decision(pair: Pair) -> str:
        read.append(pair.second)
        return "refuses" if pair.second == "Nope." else "none"

    monkeypatch.setattr(in_play, "read_decision", decision)
    assert found(user("I will."), ASKED, user("Nope."), system("I see."), user("my cat")) == [
        "cats",
        "no",
    ]
    assert read == ["my cat", "Nope."]


def test_a_cue_rules_out_no_decision_that_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    no = SUBJECTS[1].model_copy(update={"unless": ("cats",)})
    cats = SUBJECTS[0].model_copy(update={"unless": ("no",)})
    for decision, expected in (("refuses", ["no"]), ("none", ["cats"]), (None, [])):
        monkeypatch.setattr(in_play, "read_decision", lambda _, read=decision: read)
        said = [user("Hello."), ASKED, user("I won't, my cat is ill.")]
        assert [subject.id for subject in subjects_in_play((cats, no), said)] == expected


def test_a_task_without_decisions_reads_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_play, "read_decision", lambda _: pytest.fail("it was read"))
    assert [s.id for s in subjects_in_play(SUBJECTS[:1], [user("my cat")])] == ["cats"]


def test_the_last_message_is_asked_for_alone(reads: dict[Pair, str | None]) -> None:
    reads[Pair(ASKED.text, "Nope.")] = "refuses"
    talk = [user("my cat"), ASKED, user("Nope.")]
    assert [subject.id for subject in last_mentioned(SUBJECTS, talk)] == ["no"]
    assert last_mentioned(SUBJECTS, talk[:2]) == last_mentioned(SUBJECTS, []) == ()


def test_a_no_to_the_opening_is_heard_by_its_words(reads: dict[Pair, str | None]) -> None:
    opening, won_t = system("I am a program that asks for gifts."), user("I won't.")
    assert found(opening, won_t) == ["no"]
    assert found(opening, user("Hello."), system("Welcome."), won_t) == []
