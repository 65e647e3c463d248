"""What did not happen."""

from __future__ import annotations

import pytest

from langgraph_cooper.nodes.language.denying import denies


@pytest.mark.parametrize(
    ("said", "example", "denied"),
    [
        ("My boss did not fire me.", "My boss fired me.", True),
        ("I wasn't even fired", "I got fired.", True),
        ("I haven’t lost my job.", "I lost my job.", True),
        ("He never left me.", "He left me.", True),
        ("She hasn't died", "My grandmother died.", True),
        ("My boss fired me.", "My boss fired me.", False),
        ("He didn't say a word and left me.", "He left me.", False),
        ("I lost it. No, I didn't lose it.", "I lost it.", False),
        ("I didn't pass the exam.", "I didn't pass the test.", False),
        ("I don't know how I lost it.", "I lost it.", False),
        ("I did not sleep.", "How do I sleep?", False),
        ("", "He left me.", False),
    ],
)
def test_what_is_denied_did_not_happen(said: str, example: str, denied: bool) -> None:
    assert denies(said, [example]) is denied


def test_an_example_that_denies_the_same_lets_it_pass() -> None:
    assert not denies("I didn't pass.", ["I passed two exams.", "I didn't pass the third."])
