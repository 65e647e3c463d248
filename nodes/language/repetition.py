"""Checks what the system has already said, so that it never repeats itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from langgraph_cooper.nodes.language.remembering import remembered
from langgraph_cooper.nodes.language.text import words
from langgraph_cooper.prompts import Topic
from langgraph_cooper.ranker.data.dialogue import Utterance


def was_said(topic: Topic, history: Sequence[Utterance]) -> bool:
    """Return whether the system has used any of the topic's forms."""
    return any(form_was_said(form, history) for form in topic.say)


def used_up(topic: Topic, history: Sequence[Utterance]) -> bool:
    """Return whether the system has used every form of the topic that needs no subject."""
    return all(form_was_said(form, history) for form in topic.say if "{subject}" not in form)


def form_was_said(form: str, history: Sequence[Utterance]) -> bool:
    """Return whether the system has used this form, with any text in its placeholder."""
    parts = _parts(form)
    return any(
        utterance.speaker == "system" and all(part in _plain(utterance.text) for part in parts)
        for utterance in history
    )


@lru_cache(maxsize=4096)
def _parts(form: str) -> tuple[str, ...]:
    """Return the words before and after the form's placeholder, without empty parts."""
    before, _, after = form.partition("{")
    return tuple(part for part in (_plain(before), _plain(after.partition("}")[2])) if part)


@remembered(4096)
def _plain(text: str) -> str:
    return f" {' '.join(words(text))} " if words(text) else ""
