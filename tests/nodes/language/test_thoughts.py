"""Thoughts are left out of an answer, whole or streamed, however the stream is cut."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_cooper.nodes.language.thoughts import ThoughtFilter, strip_thoughts

ANSWERS = [
    ("That is hard.", "That is hard."),
    ("<think>Sad.</think>\n\nThat is hard.", "That is hard."),
    ("<THINKING>1. <b>sad</b>\n2. lost</THINKING> Yes.", "Yes."),
    ("Well. <think>What now?</think>Tell me more.", "Well. Tell me more."),
    ("<think>One.</think> <think>Two.</think> Yes.", "Yes."),
    ("<think>never ends", ""),
    ("<3 to <thinner> you <", "<3 to <thinner> you <"),
    ("", ""),
]


def streamed(pieces: Iterable[str], *, thinking: bool = False) -> list[str]:
    """What is left of an answer that comes in pieces."""
    stream = ThoughtFilter(thinking)
    return [part for part in [*map(stream.feed, pieces), stream.end()] if part]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 500])
@pytest.mark.parametrize(("answer", "said"), ANSWERS)
def test_a_stream_says_what_the_whole_answer_says(answer: str, said: str, size: int) -> None:
    pieces = [answer[i : i + size] for i in range(0, len(answer), size)]
    assert "".join(streamed(pieces)) == strip_thoughts(answer).lstrip() == said


def test_nothing_is_held_back_that_cannot_begin_a_thought() -> None:
    assert streamed(["I <", "3 ", "you", "<think>", "Hm</think>", "."]) == [
        "I ",
        "<3 ",
        "you",
        ".",
    ]


def test_thoughts_without_an_end_are_read_in_time() -> None:
    assert strip_thoughts("Yes." + "<think>" * 100_000) == "Yes."


@pytest.mark.parametrize("size", [1, 3, 500])
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("They are sad.\n</think>\n\nThat is hard.", "That is hard."),
        ("Hm.</thinking>That <is> hard.", "That <is> hard."),
        ("It is hard <3", "It is hard <3"),  # no thought after all
    ],
)
def test_a_thought_without_a_beginning(answer: str, said: str, size: int) -> None:
    pieces = [answer[i : i + size] for i in range(0, len(answer), size)]
    assert strip_thoughts(answer).lstrip() == said
    assert "".join(streamed(pieces, thinking=True)) == said


@given(
    st.lists(st.sampled_from(["<think>", "</thinking>", "</THINK>", "<", "th", "in ", " ", "\n"])),
    st.integers(1, 9),
)
def test_the_answer_of_a_stream_is_that_of_its_text(parts: list[str], size: int) -> None:
    text = "".join(parts)
    stream = ThoughtFilter()
    for i in range(0, len(text), size):
        stream.feed(text[i : i + size])
        read = text[: i + size]
        assert stream.answer == strip_thoughts(read).lstrip()
    stream.end()
    assert stream.answer == strip_thoughts(text).lstrip()


@pytest.mark.parametrize("opened", ["<think>", ""])
def test_a_long_thought_in_many_pieces_takes_little_time(opened: str) -> None:
    pieces = [opened, *["Hm, "] * 6_250, "</think>", *["Yes. "] * 6_250]
    began = time.process_time()
    assert "".join(streamed(pieces, thinking=not opened)) == "Yes. " * 6_250
    assert time.process_time() - began < 0.5
