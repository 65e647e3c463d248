"""Normalised text loses what cannot be seen, and leaves little behind in memory."""

from __future__ import annotations

import tracemalloc

from langgraph_cooper.nodes.crisis.normalisation import _CHARACTERS, MAX_KNOWN, plain
from langgraph_cooper.nodes.crisis.phrases import crisis_kind, phrase_book


def test_long_words_are_not_kept() -> None:
    normalised = phrase_book().normalised
    normalised("I lost my job.")  # what is made once
    tracemalloc.start()
    try:
        for number in range(200):
            assert normalised(f"x{number}y" * 1_000)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 100_000  # one such word is 5,000 letters


def test_characters_of_all_scripts_are_not_all_kept() -> None:
    scripts = "".join(map(chr, range(0x20000)))
    assert plain(scripts)
    assert len(_CHARACTERS) <= MAX_KNOWN
    assert plain("ＫÍＬＬ МУ") == "kill my"
    assert crisis_kind(f"{scripts} i want to k1ll mys3lf") == "suicide"


def test_plain_text_loses_what_cannot_be_seen() -> None:
    assert plain("Ca\u0301fe\u200b’s\u202e") == "cafes"
