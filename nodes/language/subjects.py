"""What the user is talking about, told from the words that give it away."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from langgraph_cooper.nodes.language.text import words
from langgraph_cooper.prompts import Subject
from langgraph_cooper.ranker.data.dialogue import Utterance


def subjects_in_play(
    subjects: tuple[Subject, ...], history: Sequence[Utterance]
) -> tuple[Subject, ...]:
    """The task's subjects that the user has mentioned.

    Args:
        subjects: All the task knows, the more specific first.
        history: The dialogue so far.

    Returns:
        Those mentioned, the latest mention first; within one utterance in the task's order.
    """
    found: dict[str, Subject] = {}
    ended: set[str] = set()
    for utterance in reversed(history):
        if utterance.speaker == "user":
            here = [s for s in _mentioned(subjects, utterance.text) if s.id not in ended]
            for subject in here:
                found.setdefault(subject.id, subject)
            ended.update(*(subject.ends for subject in here))
    return tuple(found.values())


@lru_cache(maxsize=4096)
def _mentioned(subjects: tuple[Subject, ...], text: str) -> tuple[Subject, ...]:
    plain = " ".join(words(text))
    patterns = zip(subjects, _patterns(subjects), strict=True)
    here = [subject for subject, pattern in patterns if pattern.search(plain)]
    ids = {subject.id for subject in here}
    return tuple(subject for subject in here if not ids.intersection(subject.unless))


@lru_cache(maxsize=32)
def _patterns(subjects: tuple[Subject, ...]) -> tuple[re.Pattern[str], ...]:
    """One pattern per subject, of all its cues as whole words: a task has about a thousand."""
    return tuple(_pattern(subject) for subject in subjects)


def _pattern(subject: Subject) -> re.Pattern[str]:
    cues = [re.escape(" ".join(words(cue))) for cue in subject.cues if words(cue)]
    # A cue without words (":-)") would stand in every text without words.
    return re.compile(rf"(?<![\w'])(?:{'|'.join(cues) or '(?!)'})(?![\w'])")
