"""What the measurement of the guard counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from langgraph_cooper.graph.training.talks import Said, Talk, read_talks
from langgraph_cooper.nodes.crisis.course import Finding
from langgraph_cooper.nodes.crisis.reading import Readers
from tests.benchmarks.crisis import TALKS
from tests.benchmarks.crisis_talks import calls_before, tiers_of, with_opinions
from tests.benchmarks.slips import with_slips


def read(text: str, said: Sequence[str] = ()) -> Finding:
    """Take each message with an exclamation mark for a concern, and one with a comma for faint."""
    explained = "puppy" in " ".join(said)
    if explained or not {"!", ","} & {*text}:
        return Finding()
    return Finding("concern", faint="," in text)


def read_later(text: str, said: Sequence[str] = ()) -> Finding:
    return read(text)


READERS = Readers(read, read_later)


@pytest.mark.parametrize(
    ("said", "before"),
    [
        ("-Hello! +It is late. +Too late!", 1),
        ("+Now! +It is late.", 0),
        ("-Hello! +It is late.", None),
    ],
)
def test_alarms_at_other_messages_do_not_count(said: str, before: int | None) -> None:
    messages = [Said(*each) for each in re.findall(r"([+-])([^+-]*[^+\s-])", said)]
    talk = Talk("t01", "crisis", "suicide", messages)
    assert calls_before(tiers_of(READERS, talk.texts, patient=False), talk) == before


def test_what_was_said_before_counts_until_a_crisis_is_feared() -> None:
    said = ["A puppy.", "It bit me!", "Well."]
    assert tiers_of(READERS, said, patient=False) == ["none"] * 3
    assert tiers_of(READERS, ["He!", *said], patient=False) == [
        "concern",
        "none",
        "concern",
        "none",
    ]


def test_a_patient_guard_waits_for_a_second_hint() -> None:
    said = ["Well, late.", "Late.", "Late.", "Well, now.", "Late.", "Late!"]
    patient = tiers_of(READERS, said, patient=True)
    assert [tier != "none" for tier in patient] == [False, False, False, True, False, True]
    assert tiers_of(READERS, said, patient=False)[0] == "concern"
    far = [*said[:3], "Late.", *said[3:4]]
    assert tiers_of(READERS, far, patient=True) == ["none"] * 5


def test_the_conversations_are_marked_where_there_is_a_crisis() -> None:
    found = read_talks(TALKS)
    assert len(found) == 128
    assert all(any(said.mark == "+" for said in talk.said) == bool(talk.kind) for talk in found)


def test_a_second_readers_findings_count_on_the_conversations_that_it_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hurt = [Said("-", "It is late."), Said("+", "I want to sleep and not wake up.")]
    puppy = [Said("-", "We got a dog."), Said("-", "He bit me again, it hurts!")]
    talks = [
        Talk("t01", "crisis", "suicide", hurt),
        Talk("t01", "harmless", "", puppy),
        Talk("t02", "harmless", "", puppy),  # not read
    ]
    file = tmp_path / "opinions.tsv"
    file.write_text(
        "t01\t1\t1\tnone\nt01\t1\t2\tcertain suicide\nt01\t2\t1\tnone\nt01\t2\t2\tnone\n",
        encoding="utf-8",
    )
    with_opinions(talks, READERS, file, None)
    without, told = capsys.readouterr().out.split("with it\n")
    assert "2 of 3 conversations" in without
    assert "noticed 0.000" in without
    assert "concern in 1.000" in without
    assert "noticed 1.000" in told
    assert "concern in 0.000" in told


def test_slips_are_in_the_longer_words_alone() -> None:
    said = [Said("+", "I really CANNOT sleep at all"), Said("-", "It is as it is")]
    (talk,) = with_slips([Talk("t01", "crisis", "suicide", said)], 1.0)
    words = talk.texts[0].split()
    assert [words[place] for place in (0, 4, 5)] == ["i", "at", "all"]
    for slipped, word in zip(words[1:4], ("really", "cannot", "sleep"), strict=True):
        assert slipped[0] == word[0]
        assert abs(len(slipped) - len(word)) <= 1
    assert talk.texts[1] == "it is as it is"
    assert [each.mark for each in talk.said] == ["+", "-"]
