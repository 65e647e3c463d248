"""A concern is asked about, twice at the most; the user may end a crisis."""

from __future__ import annotations

import pytest

from langgraph_cooper.nodes.crisis.course import (
    FAINT_TURNS,
    HINTED_TURNS,
    QUIET_TURNS,
    Course,
    Finding,
)
from langgraph_cooper.prompts import CrisisKind

NOTHING, CONCERN = Finding(), Finding("concern", "suicide")
CERTAIN = Finding("certain", "suicide")
FAINT = Finding("concern", "danger", faint=True)


def take(
    course: Course, finding: Finding, said: str, asked: bool = False, **manner: bool
) -> Course:
    """Take one turn of the user's; `asked` if the system has just asked about safety."""
    return course.after(finding, said, "suicide" if asked else None, **{"strict": False, **manner})


def test_a_concern_is_asked_about_and_a_yes_makes_it_certain() -> None:
    course = take(Course(), CONCERN, "I gave my things away.")
    assert course.tier == "concern"
    assert take(course, NOTHING, "sometimes, yes", asked=True) == Course("certain", "suicide")


def test_a_clear_no_ends_it_and_nothing_is_asked_for_a_while() -> None:
    course = take(take(Course(), CONCERN, "I gave my things away."), NOTHING, "no", asked=True)
    assert (course.tier, course.kind) == ("none", "suicide")
    assert take(course, Finding("concern", "danger"), "he took my phone").tier == "concern"
    for _ in range(QUIET_TURNS):
        course = take(course, CONCERN, "I gave my things away.")
        assert course.tier == "none"
    assert take(course, CONCERN, "I gave my things away.").tier == "concern"


def test_another_answer_is_asked_about_once_more_and_then_left() -> None:
    course = take(Course(), CONCERN, "I gave my things away.")
    course = take(course, NOTHING, "my boss called", asked=True)
    assert (course.tier, course.asked) == ("concern", 1)
    course = take(course, CONCERN, "whatever", asked=True)
    assert (course.tier, course.kind) == ("none", "suicide")


def test_a_faint_concern_is_asked_about_once_and_then_seldom() -> None:
    course = take(Course(), FAINT, "He gave me a hat.")
    assert (course.tier, course.faint) == ("concern", True)
    course = take(course, NOTHING, "It is a green one.", asked=True)
    assert (course.tier, course.kind) == ("none", "danger")
    for _ in range(FAINT_TURNS):
        course = take(course, FAINT._replace(kind="other"), "She said nothing.")
        assert course.tier == "none"
    assert take(course, FAINT, "He gave me a hat.").tier == "concern"


def test_a_faint_concern_is_asked_about_again_if_the_answer_is_one() -> None:
    course = take(take(Course(), FAINT, "He gave me a hat."), FAINT, "He knows.", asked=True)
    assert (course.tier, course.asked, course.faint) == ("concern", 1, False)


def test_a_plain_concern_before_the_question_makes_it_plain() -> None:
    course = take(take(Course(), FAINT, "He gave me a hat."), CONCERN, "I gave my things away.")
    assert (course.tier, course.faint) == ("concern", False)


@pytest.mark.parametrize("between", [0, 1, 2])
def test_a_patient_guard_asks_after_a_second_hint(between: int) -> None:
    course = take(Course(), FAINT, "He gave me a hat.", patient=True)
    assert (course.tier, course.kind) == ("none", None)
    for _ in range(between):
        course = take(course, NOTHING, "It is green.", patient=True)
    assert take(course, FAINT, "He knows.", patient=True).tier == "concern"


def test_after_a_crisis_a_patient_guard_waits_for_no_second_hint() -> None:
    settled = Course("none", "suicide")
    assert take(settled, FAINT, "He gave me a hat.", patient=True).tier == "concern"


def test_a_patient_guard_forgets_a_hint_and_waits_for_no_second_of_a_plain_concern() -> None:
    course = take(Course(), FAINT, "He gave me a hat.", patient=True)
    for _ in range(HINTED_TURNS):
        course = take(course, NOTHING, "It is green.", patient=True)
    assert take(course, FAINT, "He knows.", patient=True).tier == "none"
    assert take(Course(), CONCERN, "I gave my things away.", patient=True).tier == "concern"
    assert take(Course(), CERTAIN, "I want to die.", patient=True).tier == "certain"


def test_after_a_faint_concern_a_plainer_one_is_asked_about() -> None:
    course = take(take(Course(), FAINT, "He gave me a hat."), NOTHING, "Green.", asked=True)
    assert take(course, CONCERN, "I gave my things away.").tier == "concern"


def test_a_no_or_a_safe_word_beside_a_concern_settles_nothing() -> None:
    course = take(Course(), CONCERN, "I gave my things away.")
    assert take(course, CONCERN, "no", asked=True).tier == "concern"
    helped = take(Course(), CERTAIN, "I want to die").helped("suicide")
    assert take(helped, CONCERN, "yes, I am safe").tier == "certain"


def test_a_hint_after_a_crisis_is_asked_about_at_once() -> None:
    helped = take(Course(), CERTAIN, "I want to die").helped("suicide")
    settled = take(helped, NOTHING, "yes, I am safe")
    assert take(settled, CONCERN, "I wrote the letters").tier == "concern"


def test_a_question_that_was_not_said_is_still_to_be_asked() -> None:
    course = take(Course(), CONCERN, "I gave my things away.")
    assert take(course, NOTHING, "hello?") == course


@pytest.mark.parametrize("said", ["I'm not suicidal.", "I never think of hurting myself."])
def test_a_denial_before_the_question_ends_the_concern(said: str) -> None:
    course = take(Course(), CONCERN, "I gave my things away.")
    assert take(course, NOTHING, said) == Course("none", "suicide", quiet=FAINT_TURNS)
    assert take(course, CONCERN, said).tier == "concern"


@pytest.mark.parametrize("kind", ["other", "danger", "violence"])
def test_a_denial_ends_no_concern_of_another_kind(kind: CrisisKind) -> None:
    course = take(Course(), Finding("concern", kind), "She gave her things away.")
    assert take(course, NOTHING, "I'm not suicidal.") == course


def test_a_crisis_in_the_answer_goes_before_a_no() -> None:
    course = take(Course(), CONCERN, "I gave my things away.")
    assert take(course, CERTAIN, "no, I have the rope here", asked=True).tier == "certain"


def test_whoever_is_asked_and_says_that_they_are_safe_goes_on() -> None:
    certain = take(Course(), CERTAIN, "I want to die")
    assert take(certain, NOTHING, "I'm safe").tier == "certain"  # not asked yet
    helped = certain.helped("suicide")
    assert take(helped, NOTHING, "let us talk about my job") == helped
    assert take(helped, NOTHING, "I'm safe", strict=True) == helped
    settled = take(helped, NOTHING, "yes, I'm safe")
    assert (settled.tier, settled.kind, settled.given) == ("none", "suicide", 0)
    again = take(settled, CERTAIN, "I want to die")
    assert (again.tier, again.given) == ("certain", 0)  # the first text comes again


def test_help_texts_are_counted_by_kind() -> None:
    course = take(Course(), CERTAIN, "I want to die").helped("suicide").helped("suicide")
    assert course.given == 2
    assert take(course, Finding("certain", "danger"), "he hits me").given == 0
    assert Course().helped("danger") == Course("certain", "danger", given=1)
