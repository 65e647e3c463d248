"""The safety guard: answers a crisis with a fixed text, without agents.

Where a crisis is not certain, the turn goes on and `reply_guard` begins the reply with a question
about safety. The guard is a floor, not a clinical judgement (docs/safety.md).
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import uuid4

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.runnables.config import run_in_executor
from langgraph.types import interrupt

from langgraph_cooper.nodes.candidates import TAKEN
from langgraph_cooper.nodes.context import NESTED, CooperContext, current_context
from langgraph_cooper.nodes.crisis.answers import answer_of, says_unsafe, taken_back
from langgraph_cooper.nodes.crisis.course import TIERS, Course, Finding, Reader, ToRead
from langgraph_cooper.nodes.crisis.foreign import foreign_answer
from langgraph_cooper.nodes.crisis.joining import found_in
from langgraph_cooper.nodes.crisis.lexicon import phrases
from langgraph_cooper.nodes.crisis.questions import asked_about, asks_if_safe, asks_of_the_past
from langgraph_cooper.nodes.crisis.reading import Readers, ends, readers
from langgraph_cooper.nodes.errors import InputError
from langgraph_cooper.nodes.events import emit, fault_event, help_event, reply_event, turn_of
from langgraph_cooper.nodes.intake import check_text
from langgraph_cooper.nodes.language.history import speaker_of, text_of, utterances
from langgraph_cooper.nodes.node import Node, Update, quick_node
from langgraph_cooper.nodes.second_reader import NONE, Opinions, SecondReader
from langgraph_cooper.nodes.state import Fault, GuardState, with_fault
from langgraph_cooper.prompts import CrisisKind, GuardSettings, TaskSpec, help_texts
from langgraph_cooper.ranker.data.dialogue import dialogue_round

MARK = "cooper_guard"
"""Key in the `additional_kwargs` of the guard's messages.

Its value is the kind of crisis, "concern" where the reply begins with a question about safety, or
"reply" where the text replaced a reply."""
CONCERN = "concern"

# Its fields, as the state has them.
COURSE = ("tier", "kind", "asked", "given", "quiet", "faint", "hinted")
MESSAGES_ANEW = 200
"""Messages of the user's, the last ones, that are read of a conversation that nothing is known of,
such as one that was held elsewhere. Thousands would keep the guard busy for minutes."""
CHARACTERS_ANEW = 100_000  # of these messages
REMEMBERED = 8  # messages up to a release, some of which may be removed later


class Manner(NamedTuple):
    """How a conversation goes on from what its messages show."""

    strict: bool
    """Whether only a person can lift a certain crisis."""
    patient: bool
    """Whether a faint concern is asked about only after another hint."""


# Before the agents -----------------------------------------------------------------------------


def guard_node(
    task: TaskSpec, read: Reader | None = None, second: SecondReader | None = None
) -> Node:
    """Build the node that reads the user's messages before any agent does.

    In a certain crisis it answers, and goes on to answer until the user says that they are safe
    (not if the guard is strict) or a person lifts it (`released`, or the review).

    Args:
        task: The task.
        read: Finds what one message shows, in place of the readers for the task's settings.
        second: Reads what the first reader is not certain of. If it fails, the first reader's
            finding counts.
    """
    settings = task.guard or GuardSettings()
    own = Readers(read, read) if read else readers(settings)

    def guard(
        state: Mapping[str, Any], config: RunnableConfig, opinions: Opinions = NONE
    ) -> Update:
        messages: Sequence[AnyMessage] = state.get("messages", [])
        context, known = current_context(), _known(state)
        informed = Readers(*(opinions.over(each) for each in own))
        manner = Manner(_is_strict(context, settings), settings.patient)
        course = _course(messages, known, informed, manner)
        now: GuardState = {**known, **_saved(course, messages), "fired": course.tier == "certain"}
        if known.get("tier") == "certain" and course.tier != "certain":
            now["settled"] = _remembered(messages)
        if course.kind:
            now["pinned"] = pinned_text(course.kind, context.country, settings)
        turn, lines = turn_of(messages), _lines(course.kind, context, settings)
        if course.tier != "certain":
            _check_own(state)
            if course.tier == "concern":
                emit([help_event(turn, now, now["pinned"], lines)], config)
            if spoken := [message for message in messages if speaker_of(message)]:
                check_text(text_of(spoken[-1]))
            return {"guard": now}
        assert course.kind  # a certain crisis has a kind
        reviewed = known.get("fired", False) and known.get("reviewed", False)
        nested = NESTED in str(config.get("configurable", {}).get("checkpoint_ns", ""))
        now["round"] = (known.get("fired") and known.get("round")) or dialogue_round(
            utterances(messages)
        )
        now["reviewed"] = reviewed
        # Inside another graph an interrupt would keep the reply out of that graph's state.
        now["awaits_review"] = context.review and not reviewed and not nested
        text = help_text(course.kind, course.given, context, settings)
        said = AIMessage(text, id=str(uuid4()), additional_kwargs={MARK: course.kind})
        emit([help_event(turn, now, text, lines), reply_event(turn, said, "guard")], config)
        # No candidates were ranked for this reply.
        return {"messages": [said], "guard": now, "ranking": [], "passive": []}

    if second is None:
        # In a thread for async callers: the reader may load and run an encoder.
        return RunnableLambda(guard, name="guard")
    return _with_second_reader(guard, second, own, settings)


def _with_second_reader(
    guard: Callable[[Mapping[str, Any], RunnableConfig, Opinions], Update],
    second: SecondReader,
    own: Readers,
    settings: GuardSettings,
) -> Node:
    """Let the second reader look at what is new before the guard decides."""

    def unread(state: Mapping[str, Any]) -> tuple[list[ToRead], bool] | None:
        """Return the messages to read, and whether a crisis is feared without the second reader.

        None: one is certain without it.
        """
        messages: Sequence[AnyMessage] = state.get("messages", [])
        known = _known(state)
        manner = Manner(_is_strict(current_context(), settings), settings.patient)
        tier = _course(messages, known, own, manner).tier
        if tier == "certain":
            return None
        since = _settled(messages, known)
        said, new = _last_turn(messages, since=since, read=_place(messages, known))
        ones = [ToRead.after([*said, *new[:place]], text) for place, text in enumerate(new)]
        return second.unknown([*ones, ToRead.after(said, " ".join(new))]), tier != "none"

    def decided(
        state: Mapping[str, Any], config: RunnableConfig, opinions: Opinions, fault: Fault | None
    ) -> Update:
        update = guard(state, config, opinions)
        if fault:
            emit([fault_event(turn_of(state.get("messages", [])), fault)], config)
            update["cooper"] = with_fault(state["cooper"], fault)
        return update

    def run(state: Mapping[str, Any], config: RunnableConfig) -> Update:
        if (new := unread(state)) is None:
            return guard(state, config, NONE)
        to_read, feared = new
        fault = second.read(to_read, config, feared=feared)
        return decided(state, config, second.opinions(), fault)

    async def arun(state: Mapping[str, Any], config: RunnableConfig) -> Update:
        if (new := await run_in_executor(config, unread, state)) is None:
            return await run_in_executor(config, guard, state, config, NONE)
        to_read, feared = new
        fault = await second.aread(to_read, config, feared=feared)
        return await run_in_executor(config, decided, state, config, second.opinions(), fault)

    return RunnableLambda(run, afunc=arun, name="guard")


def after_guard(state: Mapping[str, Any]) -> str:
    """Return the next step: "on" (to the agents), "review" (by a person), or "end"."""
    known: GuardState = state.get("guard") or GuardState()
    if not known.get("fired"):
        return "on"
    return "review" if known.get("awaits_review") else "end"


def help_text(kind: CrisisKind, given: int, context: CooperContext, settings: GuardSettings) -> str:
    """Return the fixed text for a kind of crisis.

    Args:
        kind: The kind of crisis.
        given: The number of texts given before in this crisis.
        context: The run's choices: its country, and whether the guard is strict.
        settings: The task's settings, with its default country.
    """
    texts = help_texts()
    place = texts.place(context.country or settings.country)
    form = texts.later[(given - 1) % len(texts.later)] if given else texts.first[kind]
    question = "" if _is_strict(context, settings) else f" {texts.safe[kind]}"
    return form.format(line=place.line_for(kind), emergency=place.emergency) + question


def pinned_text(kind: CrisisKind, country: str | None, settings: GuardSettings) -> str:
    """Return the line on help that stays in view after a crisis or a concern."""
    place = help_texts().place(country or settings.country)
    return help_texts().pinned.format(line=place.line_for(kind), emergency=place.emergency)


def _lines(
    kind: CrisisKind | None, context: CooperContext, settings: GuardSettings
) -> tuple[str, ...]:
    place = help_texts().place(context.country or settings.country)
    return (place.line_for(kind), f"call {place.emergency}") if kind else ()


def _known(state: Mapping[str, Any]) -> GuardState:
    """Return what the guard knows of the conversation; nothing on its first turn.

    Another graph's fields are handed on beside its own.
    """
    known = state.get("guard")
    return known if isinstance(known, Mapping) else GuardState()  # type: ignore[return-value]


def _check_own(state: Mapping[str, Any]) -> None:
    """Refuse what is no state of the guard; not in a certain crisis, where help comes first.

    Raises:
        InputError: Something else stands there, of a graph around COOPER or a person's edit.
    """
    known = state.get("guard")
    # One field will do: another version of COOPER may have others.
    own = isinstance(known, Mapping) and known.keys() & GuardState.__annotations__
    if known and not own:
        raise InputError(f"the state's key 'guard' holds no state of COOPER's guard: {TAKEN}")


def _is_strict(context: CooperContext, settings: GuardSettings) -> bool:
    chosen = settings.strict if context.strict_guard is None else context.strict_guard
    return chosen or context.review


def _saved(course: Course, messages: Sequence[AnyMessage]) -> GuardState:
    now = GuardState(tier=course.tier, asked=course.asked, quiet=course.quiet)
    now["given"] = course.given
    now["faint"], now["hinted"] = course.faint, course.hinted
    if course.kind:
        now["kind"] = course.kind
    if messages and messages[-1].id:
        now |= {"through": messages[-1].id, "digest": _digest(messages)}
    return now


def _course(
    messages: Sequence[AnyMessage], known: GuardState, readers: Readers, manner: Manner
) -> Course:
    """Return the course after the last message.

    It goes on from the state where that has the last message that was read. A graph inside another
    one may have no state, and reads all messages.
    """
    settled = _settled(messages, known)
    reading = _Reading(messages, readers, manner, since=settled)
    if start := _place(messages, known):
        fields = {key: known[key] for key in COURSE if key in known}  # type: ignore[literal-required]
        return reading.on_from(start, Course(**fields), kept=True)
    kind, hinted = known.get("kind") if settled else None, known.get("hinted", 0)
    course = reading.on_from(settled, Course("none", kind, hinted=hinted))
    if known.get("fired") and course.tier != "certain":
        # Messages were removed or edited: that alone lifts nothing. What was said since may.
        before = Course("certain", known.get("kind", "suicide"), given=known.get("given", 0))
        return reading.on_from(_unread(messages, known), before, kept=True)
    return course


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


def _last_turn(
    messages: Sequence[AnyMessage], *, since: int, read: int
) -> tuple[list[str], list[str]]:
    """Return what the user said before the last turn, and in it, as `_Reading` takes them.

    Args:
        messages: All messages.
        since: The number of messages up to the last release, which explain nothing later.
        read: The number of messages that were read before.
    """
    start = max(since, read, _first_to_read(messages))
    said, new = _words_of(messages[since:start]), list[str]()
    for side, group in itertools.groupby(messages[start:], speaker_of):
        if side == "user":
            said, new = said + new, [text_of(message) for message in group]
        elif side == "system":
            said, new = said + new, []
    return said, new


def _place(messages: Sequence[AnyMessage], known: GuardState) -> int:
    """Return the number of messages that were read before, or 0 if one of them has changed."""
    places = {message.id: place for place, message in enumerate(messages, start=1)}
    place = places.get(known.get("through") or None, 0)
    return place if _digest(messages[:place]) == known.get("digest") else 0


def _unread(messages: Sequence[AnyMessage], known: GuardState) -> int:
    """Return the number of messages up to the last one that was read, though some have changed.

    If that one was removed, all but the user's last words count as read.
    """
    last = known.get("through") or None
    for place, message in enumerate(messages, start=1):
        if message.id == last:
            return place
    new = itertools.takewhile(lambda m: speaker_of(m) != "system", reversed(messages))
    return len(messages) - sum(1 for _ in new)


def _remembered(messages: Sequence[AnyMessage]) -> dict[str, str]:
    """Return the last messages by their ids, each with a digest of the user's words in it."""
    return {each.id: _digest([each]) for each in messages[-REMEMBERED:] if each.id}


def _settled(messages: Sequence[AnyMessage], known: GuardState) -> int:
    """Return the number of messages up to the last release, even if its own were removed.

    It is 0 if there was none, or if one of these messages was edited.
    """
    settled = known.get("settled") or {}
    places = [place for place, each in enumerate(messages, start=1) if each.id in settled]
    edited = any(_digest([each]) != settled[each.id] for each in messages if each.id in settled)
    return 0 if edited else max(places, default=0)


def _digest(messages: Sequence[BaseMessage]) -> str:
    said = "\0".join(text_of(message) for message in messages if isinstance(message, HumanMessage))
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16]


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


# A person's review -----------------------------------------------------------------------------


def review_node() -> Node:
    """Build the node that waits for a person's decision, after the help text is saved.

    `Command(resume={"release": True})` lifts the guard. Any other answer keeps it, and the guard
    does not ask again.
    """

    def review(state: Mapping[str, Any]) -> Update:
        messages: Sequence[AnyMessage] = state["messages"]
        known: GuardState = state["guard"]
        said = [text_of(m) for m in messages if isinstance(m, HumanMessage)]
        decision = interrupt(
            {"kind": known["kind"], "said": said[-1] if said else "", "answer": messages[-1].text}
        )
        if isinstance(decision, Mapping) and decision.get("release") is True:
            return released(state)
        return {"guard": {**known, "reviewed": True, "awaits_review": False}}

    return quick_node("review", review)


def released(state: Mapping[str, Any]) -> Update:
    """Return the state update that lifts the guard; it reads only messages that come later.

    `graph.update_state(config, released(graph.get_state(config).values), as_node="review")`

    Args:
        state: The conversation's state.
    """
    messages: Sequence[AnyMessage] = state.get("messages", [])
    last = messages[-1].id if messages else None
    now = GuardState(tier="none", fired=False, reviewed=True, through=last or "")
    return {"guard": {**now, "digest": _digest(messages), "settled": _remembered(messages)}}
