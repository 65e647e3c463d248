"""The dialogue as agents read it: merged turns, one line each, nothing that breaks or forges."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langgraph_cooper.nodes.language.history import clean, last_user_text, speaker_of, utterances
from tests.support.talk import system, user


def test_consecutive_messages_of_one_side_are_one_utterance() -> None:
    messages = [
        HumanMessage("Hi."),
        HumanMessage("I lost my job."),
        AIMessage("Oh no."),
        AIMessageChunk(content="When?"),
        HumanMessage("Today."),
    ]
    assert utterances(messages) == [
        user("Hi. I lost my job."),
        system("Oh no. When?"),
        user("Today."),
    ]


def test_blocks_of_one_message_are_joined_by_a_space() -> None:
    blocks: list[str | dict[str, str]] = [
        {"type": "text", "text": "I lost my job."},
        {"type": "image", "url": "data:,"},
        "I feel awful.",
    ]
    assert utterances([HumanMessage(blocks)]) == [user("I lost my job. I feel awful.")]


def test_other_and_empty_messages_are_no_part_of_it() -> None:
    messages = [
        SystemMessage("Be nice."),
        HumanMessage("One"),
        ToolMessage("result", tool_call_id="1"),
        AIMessage(""),
        HumanMessage(" \n\t"),
        HumanMessage("two"),
    ]
    assert utterances(messages) == [user("One two")]
    assert utterances([]) == []


def test_a_message_that_was_refused_as_too_long_is_not_read() -> None:
    long = "word " * 2_000
    assert utterances([HumanMessage(long)]) == []
    assert utterances([HumanMessage(long), HumanMessage("In short: no.")]) == [
        user("In short: no.")
    ]
    assert utterances([HumanMessage("a" * 8_000)]) == [user("a" * 8_000)]
    assert utterances([HumanMessage(f"a{' ' * 9_000}b")]) == [user("a b")]
    assert utterances([HumanMessage(" " * 1_000_000 + "b")]) == []
    assert utterances([AIMessage(long)]) == [system(long[:8_000])]


def test_content_blocks_are_read_as_text() -> None:
    message = HumanMessage([{"type": "text", "text": "Hello"}, {"type": "image", "url": "x"}])
    assert utterances([message]) == [user("Hello")]


def test_speakers() -> None:
    assert speaker_of(HumanMessage("x")) == "user"
    assert speaker_of(AIMessage("x")) == "system"
    assert speaker_of(SystemMessage("x")) is None


def test_last_user_text() -> None:
    assert last_user_text([]) == ""
    assert last_user_text([user("a"), system("b")]) == ""
    assert last_user_text([system("b"), user("a")]) == "a"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("  a \r\n b\t\tc ", "a b c"),
        ("lone \ud83d surr\udce9ogate", "lone surrogate"),
        ("re\u202everse\u2066d\u2069", "reversed"),
        ("bell\x07 and\x00null", "bell and null"),
        ("line\u2028break\u2029and\x85next", "line break and next"),
        ("👩\u200d💻 and क्\u200dष", "👩\u200d💻 and क्\u200dष"),
        ("naïve 日本語 — “quoted” 🙂", "naïve 日本語 — “quoted” 🙂"),
    ],
    ids=["space", "surrogates", "bidi", "control", "line breaks", "joiners", "all else"],
)
def test_clean(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@given(st.text(st.characters(), max_size=200))
def test_clean_text_is_one_sound_line(text: str) -> None:
    cleaned = clean(text)
    assert cleaned.encode("utf-8").decode("utf-8") == cleaned
    assert len(cleaned.splitlines()) <= 1
    assert clean(cleaned) == cleaned
    kinds = {unicodedata.category(c) for c in cleaned} - {"Zs"}
    assert not kinds & {"Cc", "Cs", "Zl", "Zp"}
