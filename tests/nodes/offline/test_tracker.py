"""The offline tracker extracts what was said, and its summary stays small."""

from __future__ import annotations

import pytest

from langgraph_cooper.nodes.backend import TrackerInput
from langgraph_cooper.nodes.offline.tracker import KEEP, MAX_WORDS, OfflineTracker
from langgraph_cooper.prompts import AspectSpec
from langgraph_cooper.ranker.data.dialogue import Utterance
from tests.support.rankers import embed
from tests.support.talk import system, user

ASPECT = AspectSpec(
    name="sorrow",
    summarise="what makes them sad",
    propose="questions",
    strategies=("Question",),
    listens_to="both",
    cues=("I am very sad today.", "I lost my dear old job."),
)
BEARING = ("I am so sad today.", "I lost my old job.", "I am sad and lost.", "My old job was dear.")


def tracked(*said: Utterance, previous: str = "", aspect: AspectSpec = ASPECT) -> list[str]:
    given = TrackerInput(aspect=aspect, previous=previous, said=said)
    return OfflineTracker(embed)(given).splitlines()


def test_it_keeps_the_sentences_that_bear_on_the_aspect() -> None:
    state = tracked(user("Bananas grow in bunches. I lost my old job. Zebras wear stripes."))
    assert state == ["I lost my old job."]


def test_nothing_bears_on_it() -> None:
    assert tracked(user("Bananas grow in bunches.")) == []
    assert tracked() == []
    assert tracked(user("Sad.")) == []  # two words are no sentence


def test_the_systems_sentences_are_marked() -> None:
    said = system("You are sad today."), user("I lost my old job.")
    assert tracked(*said) == ["(You are sad today.)", "I lost my old job."]


@pytest.mark.parametrize(
    ("listens_to", "kept"),
    [("user", "I lost my old job."), ("system", "(You are sad today.)")],
)
def test_it_listens_to_one_side_alone(listens_to: str, kept: str) -> None:
    aspect = ASPECT.model_copy(update={"listens_to": listens_to})
    said = system("You are sad today."), user("I lost my old job.")
    assert tracked(*said, aspect=aspect) == [kept]


def test_what_was_known_stays_until_something_bears_more_on_it() -> None:
    known = "Bananas grow in bunches."
    assert tracked(user("Zebras wear stripes."), previous=known) == [known]
    full = "\n".join([known, *BEARING[:3]])
    assert tracked(user(BEARING[3]), previous=full) == list(BEARING)


def test_nothing_stands_there_twice() -> None:
    assert tracked(user("I am so sad today. I am so sad today."), previous=BEARING[0]) == [
        BEARING[0]
    ]


def test_it_stays_bounded_and_invents_nothing() -> None:
    state = ""
    heard = set()
    for turn in range(60):
        said = f"I am so sad today for the {turn}th time. " + "I lost my job and " * 60
        heard.update((f"I am so sad today for the {turn}th time.", said.split(". ")[1]))
        state = "\n".join(tracked(user(said), previous=state))
        lines = state.splitlines()
        assert len(lines) <= KEEP
        assert all(len(line.split()) <= MAX_WORDS for line in lines)
        assert all(any(part.startswith(line) for part in heard) for line in lines)


def test_without_cues_it_goes_by_what_it_summarises() -> None:
    aspect = ASPECT.model_copy(update={"cues": ()})
    assert tracked(user("This makes me sad. Zebras wear stripes."), aspect=aspect) == [
        "This makes me sad."
    ]
