"""What the user is talking about, told from the words that give it away."""

from __future__ import annotations

from collections.abc import Sequence

from langgraph_cooper.nodes.offline.text import contains_phrase
from langgraph_cooper.prompts import Subject
from langgraph_cooper.ranker.dialogue import Utterance


def subjects_in_play(subjects: Sequence[Subject], history: Sequence[Utterance]) -> list[Subject]:
    """The task's subjects that the user has mentioned.

    Args:
        subjects: All the task knows, the more specific first.
        history: The dialogue so far.

    Returns:
        Those mentioned, the latest mention first; within one utterance in the task's order.
    """
    found: dict[str, Subject] = {}
    for utterance in reversed(history):
        if utterance.speaker != "user":
            continue
        for subject in subjects:
            if any(contains_phrase(utterance.text, cue) for cue in subject.cues):
                found.setdefault(subject.id, subject)
    return list(found.values())
