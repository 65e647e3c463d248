"""A sampled reply is made presentable."""

from __future__ import annotations

import pytest

from langgraph_cooper.nodes.finetuned.tidying import tidied


@pytest.mark.parametrize(
    ("sample", "reply"),
    [
        ("that is hard", "That is hard."),
        ("how long has it been", "How long has it been?"),
        ("i see .  i'm sorry !", "I see. I'm sorry!"),
        ("That is hard. You could talk to your", "That is hard."),
        ("That is hard because", "That is hard because"),
        ("You did it :)", "You did it :)"),
        ("", ""),
    ],
)
def test_it_ends_and_begins_as_a_sentence_does(sample: str, reply: str) -> None:
    assert tidied(sample, 40) == reply


def test_it_keeps_the_sentences_that_fit() -> None:
    assert (
        tidied("One two three. Four five six. Seven eight.", 7) == "One two three. Four five six."
    )
    assert tidied("One two three four.", 3) == "One two three four."
