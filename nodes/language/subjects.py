"""Finds the subjects of a dialogue by their cue words, and applies a refusal to an aspect."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache

from langgraph_cooper.nodes.language.remembering import remembered
from langgraph_cooper.nodes.language.text import sentences, words
from langgraph_cooper.prompts import AspectSpec, Subject
from langgraph_cooper.ranker.data.dialogue import Utterance

# Words that may stand between a cue and what rules it out: "it really hit me".
BETWEEN = "(?:also|always|just|often|really|sometimes|still|suddenly)"


def subjects_in_play(
    subjects: tuple[Subject, ...], history: Sequence[Utterance]
) -> tuple[Subject, ...]:
    """Return the task's subjects that the user has mentioned.

    Args:
        subjects: All subjects of the task, the more specific first.
        history: The dialogue so far.

    Returns:
        The subjects mentioned, the latest mention first; within one utterance in the task's order.
    """
    found: dict[str, Subject] = {}
    ended: set[str] = set()
    for utterance in reversed(history):
        if utterance.speaker == "user":
            here = [s for s in _finder(subjects)(utterance.text) if s.id not in ended]
            for subject in here:
                found.setdefault(subject.id, subject)
            ended.update(*(subject.ends for subject in here))
    return tuple(found.values())


def may_be_raised(topic: str, aspect: AspectSpec, in_play: AbstractSet[str]) -> bool:
    """Return whether a topic respects what the user has refused (`AspectSpec.unless`).

    Never ask again after a refusal. After a refusal only the aspect's own topics about that
    refusal are left, whoever proposes them.

    Args:
        topic: The topic's text.
        aspect: The aspect that proposes it.
        in_play: Ids of the subjects in play.
    """
    refused = {*aspect.unless} & in_play
    return not refused or any(
        own.topic == topic and refused.intersection(own.about) for own in aspect.topics
    )


@lru_cache(maxsize=32)
def _finder(subjects: tuple[Subject, ...]) -> Callable[[str], tuple[Subject, ...]]:
    """Return what finds a task's subjects in a text, by one pattern per subject.

    A task has about a thousand cues: compile them once.
    """
    patterns = [(subject, _pattern(subject)) for subject in subjects]

    @remembered(4096)
    def mentioned(text: str) -> tuple[Subject, ...]:
        plain = " ".join(words(text))
        # What rules a cue out stands in its sentence: "Never before. I'll donate."
        apart = "\n".join(" ".join(words(sentence)) for sentence in sentences(text))
        here = [
            subject
            for subject, pattern in patterns
            if any(cue[1] for cue in pattern.finditer(apart if _ruled(subject) else plain))
        ]
        ids = {subject.id for subject in here}
        return tuple(subject for subject in here if not ids.intersection(subject.unless))

    return mentioned


def _ruled(subject: Subject) -> bool:
    return bool(subject.not_after or subject.not_before)


def _pattern(subject: Subject) -> re.Pattern[str]:
    """Return what matches the subject's cues; its group 1 is empty for those ruled out."""
    cue = _any_of(subject.cues)
    ruled_out = "(?!)"
    if _ruled(subject):
        before, after = _any_of(subject.not_after), _any_of(subject.not_before)
        ruled_out = f"{before} (?:{BETWEEN} )?{cue}|{cue} {after}"
    # What rules a cue out is tried first: the match takes the cue along.
    return re.compile(rf"(?<![\w'])(?:(?:{ruled_out})(?![\w'])|({cue}))(?![\w'])")


def _any_of(phrases: Sequence[str]) -> str:
    plain = [re.escape(" ".join(words(phrase))) for phrase in phrases if words(phrase)]
    # A phrase without words (":-)") would match every text without words.
    return f"(?:{'|'.join(plain) or '(?!)'})"
