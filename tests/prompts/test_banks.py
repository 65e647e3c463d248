"""The shipped topic banks: enough of them, in the task's own terms, and never the same twice."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from langgraph_cooper.prompts import TaskSpec, Topic, list_tasks, load_task

EXAMPLE = Path(__file__).parents[2] / "examples" / "negotiation.toml"


@pytest.fixture(params=list_tasks())
def task(request: pytest.FixtureRequest) -> TaskSpec:
    return load_task(request.param)


@pytest.fixture(params=[*list_tasks(), EXAMPLE], ids=str)
def any_task(request: pytest.FixtureRequest) -> TaskSpec:
    return load_task(request.param)


def topics(task: TaskSpec) -> list[Topic]:
    banks = [a.topics for a in task.aspects] + [kind.topics for kind in task.passive]
    return [topic for bank in [*banks, task.answers] for topic in bank]


def repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def plain(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())


def test_every_aspect_has_sixty_topics(task: TaskSpec) -> None:
    assert {a.name: len(a.topics) for a in task.aspects if len(a.topics) < 60} == {}


def test_topics_use_their_aspects_strategies(any_task: TaskSpec) -> None:
    strange = [
        (aspect.name, topic.topic, topic.strategy)
        for aspect in any_task.aspects
        for topic in aspect.topics
        if topic.strategy not in aspect.strategies
    ]
    assert strange == []


def test_passive_topics_use_the_data_sets_strategies(task: TaskSpec) -> None:
    found = {topic.strategy for kind in task.passive for topic in kind.topics}
    assert found <= set(task.passive_strategies)


def test_topics_are_brief_outlines(any_task: TaskSpec) -> None:
    assert [t.topic for t in topics(any_task) if len(t.topic.split()) >= 20] == []


def test_forms_stay_under_the_word_limit_with_any_subject(any_task: TaskSpec) -> None:
    longest = max((s.phrase for s in any_task.subjects), key=lambda phrase: len(phrase.split()))
    forms = [form.replace("{subject}", longest) for t in topics(any_task) for form in t.say]
    assert [form for form in forms if len(form.split()) >= any_task.reply_words] == []


def test_no_topic_and_no_form_stands_twice_in_a_task(any_task: TaskSpec) -> None:
    assert repeated(plain(topic.topic) for topic in topics(any_task)) == []
    assert repeated(plain(form) for topic in topics(any_task) for form in topic.say) == []


def test_only_a_goodbye_sounds_like_one(any_task: TaskSpec) -> None:
    farewell = re.compile(
        r"talking with me|good to talk with|we (?:could talk|talked)|\btake care\b(?! of)|goodbye|"
        r"farewell",
        re.IGNORECASE,
    )
    kinds = [kind for kind in any_task.passive if "bye" not in kind.cues]
    topics = [topic for kind in kinds for topic in kind.topics]
    topics += [topic for aspect in any_task.aspects for topic in aspect.topics if topic.anytime]
    assert [form for topic in topics for form in topic.say if farewell.search(form)] == []


def test_no_answer_presupposes_an_earlier_talk_about_a_feeling(any_task: TaskSpec) -> None:
    before = re.compile(r"hasn't (?:eased|gotten|got|lifted|passed)\b", re.IGNORECASE)
    forms = [form for answer in any_task.answers for form in answer.say]
    assert [form for form in forms if before.search(form)] == []


def test_no_cue_means_two_subjects(any_task: TaskSpec) -> None:
    assert repeated(cue.lower() for s in any_task.subjects for cue in s.cues) == []


def test_something_can_always_be_said(task: TaskSpec) -> None:
    at_any_time = [kind for kind in task.passive if not (kind.cues or kind.opening)]
    assert at_any_time
    openings = [kind for kind in task.passive if kind.opening]
    assert bool(openings) == (task.opens == "system")


def test_braces_stand_only_where_a_subject_goes(any_task: TaskSpec) -> None:
    texts = [topic.topic for topic in topics(any_task)] + [s.phrase for s in any_task.subjects]
    assert [text for text in texts if "{" in text or "}" in text] == []


def test_an_amount_in_the_users_words_gets_no_second_article(any_task: TaskSpec) -> None:
    forms = [form for answer in any_task.answers for form in answer.say if "{amount}" in form]
    before = re.compile(r"\b(?:the|that|this|an?|your|monthly|another|extra) \{amount\}", re.I)
    assert not [form for form in forms if before.search(form)]


@pytest.mark.parametrize("name", list_tasks())
def test_a_promoter_is_told_that_the_speaker_is_a_program(name: str) -> None:
    assert "artificial program" in load_task(name).prompts.promoter
