"""Tells which subjects are in play in a dialogue, and applies a refusal to an aspect."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from langgraph_cooper.nodes.pairs.form import Pair
from langgraph_cooper.nodes.subjects.cues import cued
from langgraph_cooper.nodes.subjects.decisions import read_decision
from langgraph_cooper.prompts import AspectSpec, Subject
from langgraph_cooper.ranker.data.dialogue import Utterance

UNDECIDED = "none"
READ = 1_000
"""The user's last messages that are searched for a decision; older ones by cue words alone. Each
takes some ten milliseconds, once, in a conversation that was held elsewhere."""


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
    decisions = {subject.id for subject in subjects if subject.decision}
    places = [place for place, said in enumerate(history) if said.speaker == "user"]
    for number, place in enumerate(reversed(places)):
        # Once later messages have settled all decisions, earlier ones need not be read.
        open_ones = decisions - found.keys() - ended
        read = bool(open_ones) and number < READ
        mentioned = _mentioned(subjects, history, place, read=read)
        here = [subject for subject in mentioned if subject.id not in ended]
        for subject in here:
            found.setdefault(subject.id, subject)
        ended.update(*(subject.ends for subject in here))
    return tuple(found.values())


def last_mentioned(
    subjects: tuple[Subject, ...], history: Sequence[Utterance], *, read: bool = True
) -> tuple[Subject, ...]:
    """Return the task's subjects that the dialogue's last utterance mentions, if it is a user's.

    Args:
        subjects: All subjects of the task.
        history: The dialogue so far.
        read: Whether decisions are read by meaning; else by cue words.
    """
    if not history or history[-1].speaker != "user":
        return ()
    return _mentioned(subjects, history, len(history) - 1, read=read)


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


def _mentioned(
    subjects: tuple[Subject, ...], history: Sequence[Utterance], place: int, *, read: bool
) -> tuple[Subject, ...]:
    """Return the subjects of one utterance: decisions by meaning, the others by cue words."""
    found = cued(subjects, history[place].text)
    decision = _decision(history, place) if read and any(s.decision for s in subjects) else None
    # The model learnt that first words decide nothing, and reads "no thanks" to an opening so.
    if decision is None or (decision == UNDECIDED and place <= 1):
        ids = {subject.id for subject in found}
        return tuple(subject for subject in found if not ids.intersection(subject.unless))
    here = [s for s in subjects if (s.decision == decision if s.decision else s in found)]
    ids = {subject.id for subject in here}
    # No cue rules out what was read.
    return tuple(s for s in here if s.decision or not ids.intersection(s.unless))


def _decision(history: Sequence[Utterance], place: int) -> str | None:
    """Return what one of the user's utterances decides; None if nothing can read it."""
    before = history[place - 1] if place else None
    heard = before.text if before and before.speaker == "system" else ""
    return read_decision(Pair(heard, history[place].text))
