"""What the system has said already, so that it never says it twice."""

from __future__ import annotations

from collections.abc import Sequence

from langgraph_cooper.nodes.offline.text import words
from langgraph_cooper.prompts import Topic
from langgraph_cooper.ranker.dialogue import Utterance


def was_said(topic: Topic, history: Sequence[Utterance]) -> bool:
    """Whether one of the topic's forms stands in an earlier utterance of the system."""
    return any(form_was_said(form, history) for form in topic.say)


def form_was_said(form: str, history: Sequence[Utterance]) -> bool:
    """Whether this form was said before, with whatever subject or echo in its place."""
    before, _, after = form.partition("{")
    parts = [_plain(before), _plain(after.partition("}")[2])]
    return any(
        all(part in said for part in parts)
        for said in (_plain(u.text) for u in history if u.speaker == "system")
    )


def _plain(text: str) -> str:
    return f" {' '.join(words(text))} " if words(text) else ""
