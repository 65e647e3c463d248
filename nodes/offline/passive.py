"""The offline passive candidate: a greeting, thanks, a closing or small talk.

It is found by cue words, and an answer to a decision by that decision.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from langgraph_cooper.nodes.language.history import last_user_text
from langgraph_cooper.nodes.language.repetition import was_said
from langgraph_cooper.nodes.language.text import contains_phrase, sentences, words
from langgraph_cooper.nodes.offline.fitting import ASKING
from langgraph_cooper.nodes.state import Candidate
from langgraph_cooper.nodes.subjects.decisions import reads_decisions
from langgraph_cooper.nodes.subjects.in_play import last_mentioned
from langgraph_cooper.prompts import PassiveKind, TaskSpec
from langgraph_cooper.ranker.data.dialogue import Utterance, dialogue_round

# Words that change nothing about a greeting, thanks or a goodbye.
FILLERS = frozenset(
    [
        "a", "all", "and", "are", "bye", "day", "everyone", "for", "friend", "good", "goodbye",
        "great", "have", "hello", "hey", "hi", "i", "it", "its", "nice", "now", "oh", "ok",
        "okay", "really", "so", "soon", "sure", "take", "thank", "thanks", "the", "then", "there",
        "this", "to", "today", "too", "u", "very", "well", "yes", "you", "your",
    ]
)  # fmt: skip


def passive_candidates(task: TaskSpec, history: Sequence[Utterance]) -> list[Candidate]:
    """Return a candidate of the first kind that the user's last words call for, if any does."""
    kinds = [kind for kind in task.passive if not kind.asked and _called_for(kind, task, history)]
    # Those that the words call for come first.
    for kind in sorted(kinds, key=lambda kind: not (kind.cues or kind.about)):
        if found := _first(kind, history):
            return [{**found, "due": True} if _due(kind, history) else found]
    return []


def honest_candidates(task: TaskSpec, history: Sequence[Utterance]) -> list[Candidate]:
    """Return a due candidate for a question that was not understood, if the last words are one."""
    if not asks(last_user_text(history)):
        return []
    for kind in task.passive:
        if kind.asked and (found := _first(kind, history)):
            return [{**found, "due": True}]
    return []


def asks(text: str) -> bool:
    """Return whether a message asks something: by its mark, or by the word that it begins with."""
    return "?" in text or not ASKING.isdisjoint(words(text)[:1])


def _first(kind: PassiveKind, history: Sequence[Utterance]) -> Candidate | None:
    """Return the kind's first topic that was not said."""
    for topic in kind.topics:
        if topic.offered_in(dialogue_round(history)) and not was_said(topic, history):
            return Candidate(topic=topic.topic, strategy=topic.strategy, source="bank")
    return None


def _due(kind: PassiveKind, history: Sequence[Utterance]) -> bool:
    """Return whether the message is little but the cue: not "thanks, but I still feel awful"."""
    if not kind.due or kind.opening:
        return kind.due
    left = f" {' '.join(words(last_user_text(history)))} "
    for cue in sorted(kind.cues, key=len, reverse=True):
        left = left.replace(f" {' '.join(words(cue))} ", "  ")
    return len([word for word in left.split() if word not in FILLERS]) <= kind.besides


def _called_for(kind: PassiveKind, task: TaskSpec, history: Sequence[Utterance]) -> bool:
    if kind.opening or not history:
        return kind.opening and not history
    if not kind.about:
        return calls_for(kind, last_user_text(history))
    about = {subject.id for subject in last_mentioned(task.subjects, history)}
    if _decides(kind, task) and reads_decisions():  # what was read counts, and no cue does
        kind = kind.model_copy(update={"cues": ()})
    return calls_for(kind, last_user_text(history), about)


def _decides(kind: PassiveKind, task: TaskSpec) -> bool:
    return any(subject.decision and subject.id in kind.about for subject in task.subjects)


def calls_for(kind: PassiveKind, text: str, about: Collection[str] = ()) -> bool:
    """Return whether a message calls for a kind of passive turn.

    Args:
        kind: The kind, with its words.
        text: The message.
        about: Ids of the subjects that it mentions.
    """
    if kind.max_words is not None and len(words(text)) > kind.max_words:
        return False
    if not kind.cues and not kind.about:
        return True
    if any(subject in kind.about for subject in about):
        return True
    # What rules a cue out stands in its sentence: "He never said goodbye. Well, bye for now."
    parts = sentences(text) if kind.unless else [text]
    meant = [part for part in parts if not _holds(part, kind.unless)]
    return any(_holds(part, kind.cues) for part in meant)


def _holds(text: str, phrases: Sequence[str]) -> bool:
    return any(contains_phrase(text, phrase) for phrase in phrases)
