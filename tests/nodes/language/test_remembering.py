"""What was read in a text is remembered, and a long text is not kept."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from langgraph_cooper.nodes.crisis.phrases import crisis_kind, denies, disguised, withdraws
from langgraph_cooper.nodes.language.acts import acts
from langgraph_cooper.nodes.language.remembering import remembered
from langgraph_cooper.nodes.subjects.in_play import subjects_in_play
from langgraph_cooper.prompts import Subject
from langgraph_cooper.ranker.data.dialogue import Utterance
from langgraph_cooper.ranker.data.keys import LONGEST


class Text(str):
    """A text that can be watched."""

    __slots__ = ("__weakref__",)


def subjects(text: str) -> object:
    return subjects_in_play(
        (Subject(id="job", phrase="a job", cues=("job",)),), [Utterance("user", text)]
    )


@pytest.mark.parametrize("read", [crisis_kind, denies, disguised, withdraws, acts, subjects])
def test_no_long_message_is_kept(read: Callable[[str], object]) -> None:
    text = Text(f"I lost my job, and {read.__name__} read it. " * 20)
    kept, found = weakref.ref(text), read(text)
    assert read(str(text)) == found
    del text
    assert kept() is None


def counted(most: int) -> tuple[Callable[[str], int], list[str]]:
    read: list[str] = []

    @remembered(most)
    def length(text: str) -> int:
        read.append(text)
        return len(text)

    return length, read


@pytest.mark.parametrize("padding", ["", " " * LONGEST, "\ud83d" * LONGEST])
def test_each_text_is_read_once_and_the_longest_unused_forgotten(padding: str) -> None:
    length, read = counted(2)
    for text in "abacab":
        assert length(text + padding) == 1 + len(padding)
    assert "".join(text[0] for text in read) == "abcb"


def test_a_fault_is_the_functions_own_and_not_remembered() -> None:
    @remembered(2)
    def number(text: str) -> int:
        return int(text)

    for _ in range(2):
        with pytest.raises(ValueError, match="invalid literal") as caught:
            number("x" * 2 * LONGEST)
        assert caught.value.__context__ is None


def test_many_threads_read_the_same() -> None:
    length, _ = counted(8)
    texts = [str(number) * (1 + number % 2 * LONGEST) for number in range(40)] * 50
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(length, texts)) == list(map(len, texts))
