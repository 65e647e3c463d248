"""Escapes, control characters and direction overrides, in whole texts and in pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_cooper.nodes.language.controls import LONGEST, PlainStream, plain

PARTS = [
    "\x1b", "[", "]", "P", "31", "m", ";", "\x07", "\\", "\x9b", "\x9d", "\x9c", "\x90", "\r",
    "\n", "\t", "\0", "\x7f", "\u202e", "\u2066", "a", " ", "é", "👩\u200d💻", "\x80", "\x85",
]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("a\x1b]0;pwned\x07b", "ab"),
        ("a\x1b]8;;http://x.y\x1b\\link\x1b]8;;\x1b\\", "alink"),
        ("\x9b2Jgone\x9d0;title\x9c.", "gone."),
        ("\x1bPq#0;2\x1b\\a\x1b(Bb\x1b7c", "abc"),
        ("one\r\ntwo\tthree\0\x08\x7f", "one\ntwo\tthree"),
        ("\u202egnp.exe\u202c \u2066x\u2069", "gnp.exe x"),
        ("\x1b[31", ""),
        ("\x1b]" + "a" * (LONGEST + 1) + "\x07", "a" * (LONGEST + 1)),  # too long to be one
        ("\x1b[é", "é"),
        ("one \x1b]0;two\u202e three", "one 0;two three"),  # it never ends: no command
        ("one \x1b]0;two\x1b", "one 0;two"),
    ],
)
def test_what_steers_a_terminal_is_removed(said: str, shown: str) -> None:
    assert plain(said) == shown


@pytest.mark.parametrize("end", ["\r", "\r\n", "\x0b", "\x0c", "\x85"])
def test_an_end_of_a_line_of_another_kind_is_a_newline(end: str) -> None:
    assert plain(f"1. Ask.{end}2. Comfort.{end}") == "1. Ask.\n2. Comfort.\n"
    assert plain(f"Ask.{end}{end}Comfort.") == "Ask.\n\nComfort."


def test_words_in_misread_quotation_marks_stay() -> None:
    said = "“Hello.” And I understand. ‘Yes’, he said “no”. Ещё Ева."
    misread = said.encode("utf-8").decode("latin-1")
    assert plain(misread) == "".join(c for c in misread if not "\x7f" <= c <= "\x9f")


@pytest.mark.parametrize(
    "said",
    [
        "👩\u200d💻 👍🏽 ❤️",
        "Zoë, naïve, e\u0301",
        "می\u200cخواهم \u200fשלום",
        "क्\u200dष 日本語",
        "[31m a\\b\n",
    ],
)
def test_scripts_emoji_and_accents_stay(said: str) -> None:
    assert plain(said) == said


@given(st.lists(st.sampled_from(PARTS), max_size=30).map("".join), st.lists(st.integers(0, 60)))
def test_pieces_make_the_same_text(said: str, cuts: list[int]) -> None:
    places = sorted({0, len(said), *(cut for cut in cuts if cut < len(said))})
    stream = PlainStream()
    told = "".join(stream.feed(said[a:b]) for a, b in pairwise(places)) + stream.end()
    assert told == plain(said)
    assert stream.feed("a") + stream.end() == "a"  # nothing is left of the text before
    assert not any(c in told for c in "\x1b\x07\x80\x85\x9b\x9d\r\0\x7f\u202e\u2066")
