"""The offline passive candidate: a greeting, thanks, a closing or small talk.

It is found by cue words, and an answer to a decision by that decision.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet

from langgraph_cooper.nodes.language.english import may_be_english
from langgraph_cooper.nodes.language.history import last_user_text
from langgraph_cooper.nodes.language.repetition import used_up, was_said
from langgraph_cooper.nodes.language.text import contains_phrase, sentences, words
from langgraph_cooper.nodes.offline.fitting import ASKING, NEGATIONS
from langgraph_cooper.nodes.state import Candidate
from langgraph_cooper.nodes.subjects.decisions import reads_decisions
from langgraph_cooper.nodes.subjects.in_play import last_mentioned
from langgraph_cooper.prompts import PassiveKind, TaskSpec
from langgraph_cooper.ranker.data.dialogue import Utterance, dialogue_round

# Words that change nothing about a greeting, thanks or a goodbye.
FILLERS = frozenset(
    [
        "a", "all", "and", "are", "bye", "day", "everyone", "for", "friend", "good", "goodbye",
        "great", "have", "hello", "hey", "hi", "i", "it", "its", "lot", "lots", "much", "nice",
        "now", "oh", "ok", "okay", "really", "so", "soon", "sure", "take", "thank", "thanks", "the",
        "then", "there", "this", "to", "today", "too", "u", "very", "well", "yes", "you", "your",
    ]
)  # fmt: skip
GOODBYES = frozenset({"bye", "goodbye"})
THANKS = frozenset({"thanks", "thank you"})
GREETINGS = frozenset({"hello", "hi"})
"""Cues that tell which kinds say goodbye, thank and greet."""
OTHERWISE = NEGATIONS | {"but", "though", "still"}
"""Words of thanks that say more than thanks."""


def passive_candidates(task: TaskSpec, history: Sequence[Utterance]) -> list[Candidate]:
    """Return a candidate of the kind that the user's last words call for, if any does.

    Of several kinds one that is due comes first. A greeting comes after other kinds, and thanks
    after a goodbye. Else the order of the task's file counts.
    """
    kinds = [
        kind
        for kind in task.passive
        if not (kind.asked or kind.foreign) and _called_for(kind, task, history)
    ]
    due = {kind.name for kind in kinds if _due(kind, task, history)}
    leaves = any(_has_cue(kind, GOODBYES) for kind in kinds if kind.name in due)

    def order(kind: PassiveKind) -> tuple[bool, ...]:
        called = bool(kind.cues or kind.about)
        late = _greets(kind), leaves and _thanks(kind)
        return (not called, kind.name not in due, *late)

    for kind in sorted(kinds, key=order):
        if found := _first(kind, history):
            return [{**found, "due": True} if kind.name in due else found]
    return []


def foreign_candidates(task: TaskSpec, history: Sequence[Utterance]) -> list[Candidate]:
    """Return a due candidate for a message in another language; none for one in English."""
    said = last_user_text(history)
    kinds = [kind for kind in task.passive if kind.foreign]
    if not kinds or not said or may_be_english(said):
        return []
    topics = [topic for kind in kinds for topic in kind.topics if not used_up(topic, history)]
    topics.sort(key=lambda topic: was_said(topic, history))
    return [
        Candidate(topic=topic.topic, strategy=topic.strategy, source="bank", due=True)
        for topic in topics[:1]
    ]


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


def _due(kind: PassiveKind, task: TaskSpec, history: Sequence[Utterance]) -> bool:
    """Return whether the message is little but the cue: not "thanks, but I still feel awful".

    Beside a goodbye, sentences of thanks count for nothing.
    """
    if not kind.due or kind.opening:
        return kind.due
    said = last_user_text(history)
    if _has_cue(kind, GOODBYES):
        thanks = [cue for other in task.passive if _thanks(other) for cue in other.cues]
        said = " ".join(part for part in sentences(said) if not _only_thanks(part, kind, thanks))
    left = f" {' '.join(words(said))} "
    for cue in sorted(kind.cues, key=len, reverse=True):
        left = left.replace(f" {' '.join(words(cue))} ", "  ")
    return len([word for word in left.split() if word not in FILLERS]) <= kind.besides


def _thanks(kind: PassiveKind) -> bool:
    return _has_cue(kind, THANKS) and not _has_cue(kind, GOODBYES)


def _greets(kind: PassiveKind) -> bool:
    return _has_cue(kind, GREETINGS) and not _has_cue(kind, GOODBYES | THANKS)


def _has_cue(kind: PassiveKind, cues: AbstractSet[str]) -> bool:
    return any(cue.casefold() in cues for cue in kind.cues)


def _only_thanks(sentence: str, goodbye: PassiveKind, thanks: Sequence[str]) -> bool:
    plain = OTHERWISE.isdisjoint(words(sentence)) and "?" not in sentence
    return plain and _holds(sentence, thanks) and not _holds(sentence, goodbye.cues)


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
