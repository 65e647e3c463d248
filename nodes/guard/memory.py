"""What the guard knows of a conversation's messages: which it has read, and which are settled."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AnyMessage, BaseMessage, HumanMessage

from langgraph_cooper.nodes.candidates import TAKEN
from langgraph_cooper.nodes.crisis.course import Course
from langgraph_cooper.nodes.errors import InputError
from langgraph_cooper.nodes.language.history import speaker_of, text_of
from langgraph_cooper.nodes.state import GuardState

# The fields of a course, as the state has them.
COURSE = ("tier", "kind", "asked", "given", "quiet", "faint", "hinted")
REMEMBERED = 8  # messages up to a release, some of which may be removed later


def known_of(state: Mapping[str, Any]) -> GuardState:
    """Return what the guard knows of the conversation; nothing on its first turn.

    Another graph's fields are handed on beside its own.
    """
    known = state.get("guard")
    return known if isinstance(known, Mapping) else GuardState()  # type: ignore[return-value]


def check_own(state: Mapping[str, Any]) -> None:
    """Refuse what is no state of the guard; not in a certain crisis, where help comes first.

    Raises:
        InputError: Something else stands there, of a graph around COOPER or a person's edit.
    """
    known = state.get("guard")
    # One field will do: another version of COOPER may have others.
    own = isinstance(known, Mapping) and known.keys() & GuardState.__annotations__
    if known and not own:
        raise InputError(f"the state's key 'guard' holds no state of COOPER's guard: {TAKEN}")


def saved(course: Course, messages: Sequence[AnyMessage]) -> GuardState:
    """Return the state that holds a course after these messages, and how far they were read."""
    now = GuardState(tier=course.tier, asked=course.asked, quiet=course.quiet)
    now["given"] = course.given
    now["faint"], now["hinted"] = course.faint, course.hinted
    if course.kind:
        now["kind"] = course.kind
    if messages and messages[-1].id:
        now |= {"through": messages[-1].id, "digest": digest_of(messages)}
    return now


def course_in(known: GuardState) -> Course:
    """Return the course that the state holds."""
    fields = {key: known[key] for key in COURSE if key in known}  # type: ignore[literal-required]
    return Course(**fields)


def read_up_to(messages: Sequence[AnyMessage], known: GuardState) -> int:
    """Return the number of messages that were read before, or 0 if one of them has changed."""
    places = {message.id: place for place, message in enumerate(messages, start=1)}
    place = places.get(known.get("through") or None, 0)
    return place if digest_of(messages[:place]) == known.get("digest") else 0


def once_read_up_to(messages: Sequence[AnyMessage], known: GuardState) -> int:
    """Return the number of messages up to the last one that was read, though some have changed.

    If that one was removed, all but the user's last words count as read.
    """
    last = known.get("through") or None
    for place, message in enumerate(messages, start=1):
        if message.id == last:
            return place
    new = itertools.takewhile(lambda m: speaker_of(m) != "system", reversed(messages))
    return len(messages) - sum(1 for _ in new)


def remembered(messages: Sequence[AnyMessage]) -> dict[str, str]:
    """Return the last messages by their ids, each with a digest of the user's words in it."""
    return {each.id: digest_of([each]) for each in messages[-REMEMBERED:] if each.id}


def settled_up_to(messages: Sequence[AnyMessage], known: GuardState) -> int:
    """Return the number of messages up to the last release, even if its own were removed.

    It is 0 if there was none, or if one of these messages was edited.
    """
    settled = known.get("settled") or {}
    places = [place for place, each in enumerate(messages, start=1) if each.id in settled]
    edited = any(digest_of([each]) != settled[each.id] for each in messages if each.id in settled)
    return 0 if edited else max(places, default=0)


def digest_of(messages: Sequence[BaseMessage]) -> str:
    """Return a digest of the user's words in some messages."""
    said = "\0".join(text_of(message) for message in messages if isinstance(message, HumanMessage))
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16]
