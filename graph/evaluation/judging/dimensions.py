"""What conversations are compared in, one dimension at a time."""

from __future__ import annotations

from collections.abc import Mapping

from langgraph_cooper.prompts import TaskSpec

ESC: Mapping[str, str] = {
    "coherence": "Whose replies follow better from what was said, without contradictions or jumps?",
    "naturalness": "Who talks more like a person in a real conversation?",
    "identification": "Who explores the seeker's situation more deeply and finds the real problem?",
    "empathy": "Who understands the seeker's feelings better and shows it?",
    "suggestion": "Whose suggestions are more helpful to this seeker?",
}
"""Dimensions of emotional support."""

PERSUASION: Mapping[str, str] = {
    "coherence": ESC["coherence"],
    "naturalness": ESC["naturalness"],
    "attention": "Who learns more about the persuadee and draws them into the topic?",
    "appeal": "Whose arguments speak better to this persuadee's interests and doubts?",
    "proposition": "Who asks for a donation in a better way, at a better moment, and takes a no?",
}
"""Dimensions of persuasion."""

GENERAL: Mapping[str, str] = {
    "coherence": ESC["coherence"],
    "naturalness": ESC["naturalness"],
    "goal": "Who comes nearer to the goal of the conversation?",
}
"""Dimensions of any other task."""

OUTCOMES = frozenset({"persuasion"})
"""Tasks whose outcome is asked for: whether the user agreed, to what sum, how pressed."""


def dimensions_of(task: TaskSpec) -> Mapping[str, str]:
    """Return a task's dimensions, each with its question."""
    return {"esc": ESC, "persuasion": PERSUASION}.get(task.name, GENERAL)
