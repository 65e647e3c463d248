"""The passive node: proposes a greeting, thanks, a closing or small talk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langgraph_cooper.nodes.language.history import last_user_text, utterances
from langgraph_cooper.nodes.language.repetition import was_said
from langgraph_cooper.nodes.language.text import contains_phrase, words
from langgraph_cooper.nodes.node import Node, Update, quick_node
from langgraph_cooper.nodes.state import Candidate
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


def passive_node(task: TaskSpec) -> Node:
    """Build the node that proposes the passive candidate, from the task's own topics.

    It asks no LLM: cue words are enough to recognise a greeting, thanks or a goodbye.
    """

    def passive(state: Mapping[str, Any]) -> Update:
        return {"passive": passive_candidates(task, utterances(state.get("messages", [])))}

    return quick_node("passive", passive)


def passive_candidates(task: TaskSpec, history: Sequence[Utterance]) -> list[Candidate]:
    """Return a candidate of the first kind that the user's last words call for, if any does."""
    now = dialogue_round(history)
    kinds = [kind for kind in task.passive if _called_for(kind, history)]
    for kind in sorted(kinds, key=lambda kind: not kind.cues):  # those with cues first
        for topic in kind.topics:
            if topic.offered_in(now) and not was_said(topic, history):
                candidate = Candidate(topic=topic.topic, strategy=topic.strategy, source="bank")
                return [{**candidate, "due": True} if _due(kind, history) else candidate]
    return []


def _due(kind: PassiveKind, history: Sequence[Utterance]) -> bool:
    """Return whether the message is little but the cue: not "thanks, but I still feel awful"."""
    if not kind.due or kind.opening:
        return kind.due
    left = f" {' '.join(words(last_user_text(history)))} "
    for cue in sorted(kind.cues, key=len, reverse=True):
        left = left.replace(f" {' '.join(words(cue))} ", "  ")
    return len([word for word in left.split() if word not in FILLERS]) <= kind.besides


def _called_for(kind: PassiveKind, history: Sequence[Utterance]) -> bool:
    if kind.opening or not history:
        return kind.opening and not history
    text = last_user_text(history)
    if kind.max_words is not None and len(words(text)) > kind.max_words:
        return False
    return not kind.cues or any(contains_phrase(text, cue) for cue in kind.cues)
