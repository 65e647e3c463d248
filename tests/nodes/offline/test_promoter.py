"""The offline promoter retrieves: near the conversation, far from one another, never again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from langgraph_cooper.nodes.backend import PromoterInput
from langgraph_cooper.nodes.offline.answers import Answers
from langgraph_cooper.nodes.offline.promoter import OfflinePromoter
from langgraph_cooper.prompts import Answer, AspectSpec, Subject, TaskSpec, Topic, load_task
from langgraph_cooper.ranker.data.dialogue import Utterance
from tests.support.rankers import embed
from tests.support.readers import ScriptedReader
from tests.support.talk import rounds, system, user

ESC = load_task("esc").without_answers()


def topic(text: str, *say: str, **more: object) -> Topic:
    return Topic.model_validate(
        {"topic": text, "strategy": "Question", "say": say or (f"Say: {text}",), **more}
    )


def task_of(*topics: Topic, subjects: tuple[Subject, ...] = ()) -> TaskSpec:
    aspect = AspectSpec(
        name="work", summarise="it", propose="them", strategies=("Question",), topics=topics
    )
    return ESC.model_copy(update={"aspects": (aspect,), "subjects": subjects, "answers": ()})


def offered(task: TaskSpec, history: list[Utterance], m: int = 4, state: str = "") -> list[str]:
    given = PromoterInput(aspect=task.aspects[0], history=history, state=state, m=m)
    found = OfflinePromoter(task, embed, Answers(task, embed))(given)
    assert all(candidate["source"] == "bank" for candidate in found)
    return [candidate["topic"] for candidate in found]


def test_the_nearest_to_the_last_words_comes_first() -> None:
    task = task_of(topic("music you love"), topic("your old boss"), topic("a walk outside"))
    assert offered(task, [user("It was my old boss.")])[0] == "your old boss"
    assert offered(task, [user("It was a walk outside.")])[0] == "a walk outside"


def unheard(*topics: Topic, accepted: str, m: int = 4, sure: float = 0.9) -> list[str]:
    """Return what is offered after words that no answer is for, to a reader of one taste."""
    answer = Answer(topic="Ask.", strategy="Question", heard=("My dog is ill.",), say=("Why?",))
    task = task_of(*topics).model_copy(update={"answers": (answer,)})
    given = PromoterInput(
        aspect=task.aspects[0], history=[user("a"), system("b."), user("I moved my piano today.")],
        state="", m=m,
    )  # fmt: skip
    found = OfflinePromoter(
        task, embed, Answers(task, embed, reader=ScriptedReader(accepted, sure))
    )
    return [candidate["topic"] for candidate in found(given)]


def test_after_words_that_were_not_understood_what_does_not_fit_is_left_out() -> None:
    topics = [topic(f"{word} {n}", anytime=True) for word in ("fine", "odd") for n in range(5)]
    fine = {each.topic for each in topics if "fine" in each.topic}
    assert set(unheard(*topics, accepted="fine", m=20)) == fine
    assert set(unheard(*topics, accepted=":", m=20)) == {each.topic for each in topics}
    # An agent proposes something: what fits best.
    assert unheard(*topics, accepted="fine 3", m=20, sure=0.4) == ["fine 3"]


def test_an_open_question_that_does_not_fit_is_not_asked() -> None:
    topics = (topic("a question", open_question=True), topic("thanks", anytime=True))
    assert unheard(*topics, accepted="question")[0] == "a question"
    assert unheard(*topics, accepted="question", sure=0.3)[0] == "a question"
    assert unheard(*topics, accepted="thanks") == ["thanks"]


def test_the_state_summary_counts_too() -> None:
    task = task_of(topic("music you love"), topic("your old boss"))
    assert offered(task, [user("Hm.")], state="The old boss was unfair.")[0] == "your old boss"


def test_m_bounds_the_list() -> None:
    many = task_of(*(topic(f"number {n}") for n in range(30)))
    for m in (1, 4, 20):
        assert len(offered(many, [user("I lost my job.")], m)) == m
    assert len(offered(task_of(topic("a"), topic("b")), [user("Hi")], 4)) == 2
    assert offered(task_of(), [user("Hi")]) == []


def test_candidates_are_diverse() -> None:
    vectors = {"Now.": (1, 0, 0), "a": (0.8, 0.6, 0), "b": (0.79, 0.613, 0), "c": (0.7, 0, 0.714)}

    def placed(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([vectors.get(text, (0, 0, 0)) for text in texts], dtype=np.float32)

    task = task_of(topic("a"), topic("b"), topic("c"))
    given = PromoterInput(aspect=task.aspects[0], history=[user("Now.")], state="", m=3)
    found = OfflinePromoter(task, placed, Answers(task, placed))(given)
    # "b" is nearer to the talk than "c" is, but says nothing that "a" does not.
    assert [candidate["topic"] for candidate in found] == ["a", "c", "b"]


def test_real_candidates_are_diverse_and_all_different() -> None:
    found = offered(ESC, [user("I lost my job and my boss was unfair.")], m=8)
    vectors = embed(found)
    assert len(set(found)) == 8
    assert np.triu(vectors @ vectors.T, k=1).max() < 0.95


def test_topics_are_kept_to_their_rounds() -> None:
    task = task_of(topic("early", rounds=[1, 2]), topic("late", rounds=[3, 9]), topic("always"))
    by_round = {n: set(offered(task, rounds(n - 1))) for n in (1, 2, 3, 9, 10)}
    assert by_round == {
        1: {"early", "always"},
        2: {"early", "always"},
        3: {"late", "always"},
        9: {"late", "always"},
        10: {"always"},
    }


SUBJECTS = (
    Subject(id="danger", phrase="the danger", cues=("danger",), alone=True),
    Subject(id="boss", phrase="your boss", cues=("boss",)),
    Subject(id="agrees", phrase="a yes", cues=("i will",), unless=("refuses",)),
    Subject(id="refuses", phrase="a no", cues=("don't think i will",)),
)
ABOUT = task_of(
    topic("on danger", about=["danger"]),
    topic("on the boss", about=["boss"]),
    topic("on a yes", about=["agrees"]),
    topic("on a no", about=["refuses"]),
    topic("in general"),
    subjects=SUBJECTS,
)


@pytest.mark.parametrize(
    ("text", "topics"),
    [
        ("Hello.", {"in general"}),
        ("My boss is unfair.", {"on the boss", "in general"}),
        ("My boss is a danger to me.", {"on danger", "in general"}),
        ("I will.", {"on a yes", "in general"}),
        ("I don't think I will.", {"on a no", "in general"}),
    ],
)
def test_topics_wait_for_their_subjects(text: str, topics: set[str]) -> None:
    assert set(offered(ABOUT, [user(text)], m=9)) == topics


def test_a_subject_stays_in_play() -> None:
    history = [user("My boss."), system("Oh."), user("Yes.")]
    assert "on the boss" in offered(ABOUT, history, m=9)


def test_a_topic_about_the_subject_gains() -> None:
    task = task_of(topic("one two"), topic("one three", about=["boss"]), subjects=SUBJECTS)
    assert offered(task, [user("one boss")])[0] == "one three"


@pytest.mark.parametrize("said", ["How is work?", "Well. how is WORK Tell me."])
def test_what_was_said_in_any_form_is_not_offered_again(said: str) -> None:
    task = task_of(topic("work", "How is work?", "And the job?"), topic("home"))
    history = [user("a"), system(said), user("b")]
    assert offered(task, history, m=1) == ["home"]
    assert set(offered(task, history)) == {"work", "home"}  # it has another form left
    history += [system("And the job? How is work?"), user("c")]
    assert offered(task, history) == ["home"]
    assert set(offered(task, [user(said)])) == {"work", "home"}  # the user's words are no matter


def test_a_form_with_a_subject_is_known_again() -> None:
    task = task_of(topic("it", "How is {subject} now, honestly?", "How is it?"), topic("home"))
    said = [system("How is the new job now, honestly?"), user("b")]
    assert offered(task, said, m=1) == ["home"]


def test_nothing_said_yet() -> None:
    attention = load_task("persuasion").model_copy()
    assert len(offered(attention, [], m=3)) == 3


def test_who_said_no_is_not_asked_again_until_they_agree() -> None:
    persuasion = load_task("persuasion")
    proposition = persuasion.aspect("proposition")
    about = {topic.topic: topic.about for topic in proposition.topics}
    promote = OfflinePromoter(persuasion, embed, Answers(persuasion, embed))

    def asked(*history: Utterance) -> set[str]:
        given = PromoterInput(aspect=proposition, history=history, state="", m=20)
        return {candidate["topic"] for candidate in promote(given)}

    no = (*rounds(4), user("I don't think I will donate."))
    later = (*no, system("That is all right."), user("The weather is nice."))
    for history in (no, later):
        assert all("refuses" in about[topic] for topic in asked(*history))
    yes = (*later, system("It is."), user("Actually, I will donate something."))
    assert any("agrees" in about[topic] for topic in asked(*yes))
    assert any(not about[topic] for topic in asked(*yes))
