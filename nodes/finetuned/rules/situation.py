"""What a rule knows about a turn besides the reply that it reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

from langgraph_cooper.nodes.language.history import last_user_text
from langgraph_cooper.nodes.language.text import words
from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.ranker.data.dialogue import Utterance

QUOTED = re.compile(r"[\"“][^\"”]*[\"”]")


class Situation:
    """A turn: the task, what was said, and what both allow a reply to mention.

    Args:
        task: The task, whose facts a reply may use.
        said: The dialogue, oldest utterance first.
        allowed: The words of the task (`task_words`), which cost time to collect.
    """

    def __init__(
        self, task: TaskSpec, said: Sequence[Utterance], allowed: frozenset[str] | None = None
    ) -> None:
        self.task = task
        self.said = said
        self._allowed = task_words(task) if allowed is None else allowed

    @cached_property
    def last(self) -> str:
        """The user's last words."""
        return last_user_text(self.said)

    @cached_property
    def user_texts(self) -> list[str]:
        """The user's utterances, oldest first."""
        return [utterance.text for utterance in self.said if utterance.speaker == "user"]

    @cached_property
    def system_texts(self) -> list[str]:
        """The system's utterances, oldest first."""
        return [utterance.text for utterance in self.said if utterance.speaker == "system"]

    @cached_property
    def user_words(self) -> frozenset[str]:
        """All words of the user."""
        return frozenset(word for text in self.user_texts for word in bare_words(text))

    @cached_property
    def known_words(self) -> frozenset[str]:
        """All words of the user and of the task."""
        return self.user_words | self._allowed


def bare_words(text: str) -> list[str]:
    """Return the words of a text in lower case, without a possessive's ending."""
    return [word.removesuffix("'s").strip("'") for word in words(text)]


def own_words(reply: str) -> str:
    """Return a reply without what it quotes: "tell him: 'I was hurt'" claims nothing."""
    return QUOTED.sub(" ", reply.replace("’", "'"))


def task_words(task: TaskSpec) -> frozenset[str]:
    """Return all words of a task that a reply may say: its title, its goal, its bank."""
    banks = [aspect.topics for aspect in task.aspects] + [kind.topics for kind in task.passive]
    if any(answer.amount for answer in task.answers):  # it is about sums, which its answers tell
        banks.append(task.answers)
    texts = [task.title, task.goal, task.user_role, task.system_role]
    texts += [text for topics in banks for topic in topics for text in (topic.topic, *topic.say)]
    texts += [subject.phrase for subject in task.subjects]
    return frozenset(word for text in texts for word in bare_words(text))
