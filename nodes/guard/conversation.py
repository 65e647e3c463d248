"""Reads a conversation on from where the guard has read: the course of a crisis in it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from langgraph_cooper.nodes.crisis.answers import answer_of, says_unsafe, taken_back
from langgraph_cooper.nodes.crisis.course import TIERS, Course, Finding
from langgraph_cooper.nodes.crisis.foreign import foreign_answer
from langgraph_cooper.nodes.crisis.joining import found_in
from langgraph_cooper.nodes.crisis.lexicon import phrases
from langgraph_cooper.nodes.crisis.questions import asked_about, asks_if_safe, asks_of_the_past
from langgraph_cooper.nodes.crisis.reading import Readers, ends
from langgraph_cooper.nodes.guard.help import CONCERN, MARK
from langgraph_cooper.nodes.guard.manner import Manner
from langgraph_cooper.nodes.guard.memory import (
    course_in,
    once_read_up_to,
    read_up_to,
    settled_up_to,
)
from langgraph_cooper.nodes.language.history import speaker_of, text_of
from langgraph_cooper.nodes.state import GuardState
from langgraph_cooper.prompts import CrisisKind

MESSAGES_ANEW = 200
"""Messages of the user's, the last ones, that are read of a conversation that nothing is known of,
such as one that was held elsewhere. Thousands would keep the guard busy for minutes."""
CHARACTERS_ANEW = 100_000  # of these messages


def course_of(
    messages: Sequence[AnyMessage], known: GuardState, readers: Readers, manner: Manner
) -> Course:
    """Return the course after the last message.

    It goes on from the state where that has the last message that was read. A graph inside another
    one may have no state, and reads all messages.
    """
    settled = settled_up_to(messages, known)
    reading = _Reading(messages, readers, manner, since=settled)
    if start := read_up_to(messages, known):
        return reading.on_from(start, course_in(known), kept=True)
    kind, hinted = known.get("kind") if settled else None, known.get("hinted", 0)
    course = reading.on_from(settled, Course("none", kind, hinted=hinted))
    if known.get("fired") and course.tier != "certain":
        # Messages were removed or edited: that alone lifts nothing. What was said since may.
        before = Course("certain", known.get("kind", "suicide"), given=known.get("given", 0))
        return reading.on_from(once_read_up_to(messages, known), before, kept=True)
    return course


def last_turn(messages: Sequence[AnyMessage], known: GuardState) -> tuple[list[str], list[str]]:
    """Return what the user said before the last turn, and in it, as `course_of` takes them.

    Messages up to the last release explain nothing later.
    """
    since = settled_up_to(messages, known)
    start = max(since, read_up_to(messages, known), _first_to_read(messages))
    said, new = _words_of(messages[since:start]), list[str]()
    for side, group in itertools.groupby(messages[start:], speaker_of):
        if side == "user":
            said, new = said + new, [text_of(message) for message in group]
        elif side == "system":
            said, new = said + new, []
    return said, new


@dataclass(frozen=True)
class _Reading:
    """Reads the messages of a conversation on from one of them.

    Attributes:
        messages: All messages.
        readers: Find what one message shows.
        manner: How the course goes on from what they find.
        since: The number of messages up to the last release. They explain nothing that comes later,
            and make it no graver.
    """

    messages: Sequence[AnyMessage]
    readers: Readers
    manner: Manner
    since: int

    def on_from(self, start: int, course: Course, *, kept: bool = False) -> Course:
        """Return the course after the last message.

        Args:
            start: The number of messages that were read before.
            course: The course after them.
            kept: Whether the course comes from the state. A reply that names no help then settles
                nothing: the guard was not asked about it.
        """
        start = max(start, _first_to_read(self.messages))
        said = _words_of(self.messages[self.since : start])
        reply: AIMessage | None = None
        released = self.since > 0 and not said
        for side, group in itertools.groupby(self.messages[start:], speaker_of):
            if side == "user":
                new, before = [text_of(message) for message in group], course
                course = self._after_user(course, said, new, reply, released=released)
                said, reply = said + new, None
                released = before.tier == "certain" and course.tier == "none"
            elif side == "system":
                for message in group:
                    assert isinstance(message, AIMessage)
                    reply = message
                    mark = message.additional_kwargs.get(MARK)
                    if mark in _kinds():
                        course = course.helped(mark)
                    elif not kept:
                        course = course.lifted
        return course

    def _after_user(
        self,
        course: Course,
        said: Sequence[str],
        new: Sequence[str],
        reply: AIMessage | None,
        *,
        released: bool,
    ) -> Course:
        read = self.readers.later if course.kind else self.readers.first
        finding, question = found_in(said, new, read), _question(reply, course)
        if finding.tier == "none" and _tells_of_the_past(reply, new):
            finding = Finding("concern", "other")  # perhaps it is not so long ago
        if finding.tier == "none" and _is_unsafe(reply, new):
            finding, question = Finding("concern", course.kind or "danger"), None
        words = " ".join(new)
        if foreign_answer(words) == "safe":
            finding = Finding()  # the models may read it as English
        if finding.tier != "certain" and says_unsafe(words):
            finding = Finding("certain" if course.kind else "concern", course.kind or "danger")
        asked = reply is not None and "?" in text_of(reply)
        if released and course.kind and (tier := taken_back(words, asked=asked)):
            finding = max(finding, Finding(tier, course.kind), key=lambda f: TIERS.index(f.tier))
        strict, patient = self.manner
        return course.after(finding, "\n".join(new), question, strict=strict, patient=patient)


def _first_to_read(messages: Sequence[AnyMessage]) -> int:
    """Return the place from which on a conversation is read that nothing is known of."""
    count = characters = 0
    for place in range(len(messages) - 1, -1, -1):
        if isinstance(messages[place], HumanMessage):
            read = ends(text_of(messages[place]))
            count, characters = count + 1, characters + len(read)
            if count > MESSAGES_ANEW or (count > 1 and characters > CHARACTERS_ANEW):
                return place + 1
    return 0


def _words_of(messages: Sequence[AnyMessage]) -> list[str]:
    """Return what the user said in some messages."""
    return [text_of(each) for each in messages if isinstance(each, HumanMessage)]


def _question(reply: AIMessage | None, course: Course) -> CrisisKind | None:
    """Return the kind of crisis that a reply asked about."""
    mark = reply and reply.additional_kwargs.get(MARK)
    if reply is None or mark in _kinds():
        return None
    if mark == CONCERN:
        return course.kind or "suicide"
    text = text_of(reply)
    return None if asks_of_the_past(text) else asked_about(text)


def _tells_of_the_past(reply: AIMessage | None, answer: Sequence[str]) -> bool:
    """Return whether the user says yes to what a model asked about somebody else's past."""
    if reply is None or MARK in reply.additional_kwargs:
        return False
    return asks_of_the_past(text_of(reply)) and answer_of(" ".join(answer)) == "yes"


def _is_unsafe(reply: AIMessage | None, answer: Sequence[str]) -> bool:
    """Return whether the user says no to a model's question whether they are safe."""
    if reply is None or MARK in reply.additional_kwargs:
        return False
    return asks_if_safe(text_of(reply)) and answer_of(" ".join(answer)) == "no"


def _kinds() -> list[CrisisKind]:
    return [kind.name for kind in phrases().kinds]
