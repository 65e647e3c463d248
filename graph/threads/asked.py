"""One message that is sent to a thread: its place there, and its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    RemoveMessage,
    convert_to_messages,
)
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command, StateSnapshot

from langgraph_cooper.nodes.errors import InputError
from langgraph_cooper.nodes.intake import check_text
from langgraph_cooper.nodes.language.history import speaker_of, text_of
from langgraph_cooper.prompts.errors import a_kind


@dataclass(frozen=True)
class AnswerAgain:
    """Asks, in place of a message, for another answer to the last one; it replaces the last answer.

    Attributes:
        message_id: The message that is meant. If it is not the user's last one any more, it is
            refused. None: the last one, whichever it is.
    """

    message_id: str | None = None


Said = HumanMessage | str | dict[str, Any] | Command[Any] | AnswerAgain | None
Input = dict[str, Any] | Command[Any] | None


@dataclass(frozen=True)
class Reply:
    """The answer to a message.

    Attributes:
        message: The answer. None if the graph was interrupted before it, to ask a person.
        state: The state of the thread after the turn.
        repeated: True if the message had been answered earlier. This is that answer, and no turn
            was run.
    """

    message: AIMessage | None
    state: Mapping[str, Any]
    repeated: bool = False

    @property
    def text(self) -> str:
        """The answer's text."""
        return self.message.text if self.message else ""


def is_unfinished(snapshot: StateSnapshot) -> bool:
    """Return whether a thread's last turn was cut, so that invoking the graph on None finishes it.

    `snapshot.next` does not tell. It leaves out steps that had finished, and is empty if the
    process died after the last of them, before their results were put together. A turn that waits
    at an interrupt was not cut: a `Command` resumes it.
    """
    return bool(snapshot.tasks) and not snapshot.interrupts


class AskedTurn:
    """One call of `Turns`, while it holds the thread's lock.

    Args:
        thread_id: As for `Turns.send`, like the others.
        message: What is sent.
        context: The run's context.
        config: Its configuration.
        values: Other keys of the graph's input.

    Attributes:
        input: The input of the graph: a message, a `Command`, or None to resume this very turn.
        found: The answer, where the message had one already.
        again: Whether the turn may have run in part before.
        caught_up: Whether an earlier turn was to be finished first.
    """

    def __init__(
        self,
        thread_id: str,
        message: Said,
        context: Any,
        config: RunnableConfig | None,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        given: dict[str, Any] = dict(config or {})
        given["configurable"] = {**given.get("configurable", {}), "thread_id": thread_id}
        self.config = RunnableConfig(**given)  # type: ignore[typeddict-item]
        self.options: dict[str, Any] = {"context": context, "durability": "sync"}
        self.found: Reply | None = None
        self.again = self.caught_up = False
        self._command = message if isinstance(message, Command) else None
        self._anew = message if isinstance(message, AnswerAgain) else None
        said = None if isinstance(message, Command | AnswerAgain) else message
        self._message = _checked(said)
        self._values = _checked_values(values, self._command)
        messages = [self._message] if self._message else []
        self.input: Input = self._command or {**self._values, "messages": messages}

    def comes_after_another(self, snapshot: StateSnapshot) -> bool:
        """Look at the thread; return whether another turn, which was cut, must be finished first.

        Sets `found` where there is an answer, and `input` where this turn itself was cut.

        Raises:
            InputError: The message cannot be answered again.
        """
        if self._anew:
            self.again, self.input = True, self._without_answer(self._anew, snapshot)
            return False
        if found := self.answered(snapshot):
            self.found = replace(found, repeated=True)
            return False
        self.again = bool(self._command) or (self._message is None and bool(snapshot.values))
        if self._command or not is_unfinished(snapshot):
            return False
        if self._message and self._place(_messages(snapshot)) is None:
            return True
        self.input, self.again = None, True
        return False

    def _without_answer(self, anew: AnswerAgain, snapshot: StateSnapshot) -> Input:
        """Return the input that removes the last answer; None finishes a turn that was cut.

        Raises:
            InputError: There is nothing to answer, or a person has to decide first.
        """
        messages = _messages(snapshot)
        last = _last_asked(messages)
        if last is None:
            raise InputError("the thread has no message of a user to answer: send one")
        if anew.message_id not in (None, messages[last].id):
            raise InputError(
                f"the message {anew.message_id!r} is not the last one of its thread: only the last "
                "one can be answered again"
            )
        if snapshot.interrupts:
            raise InputError(
                "the thread waits for a person's decision: resume it with a Command before its "
                "message is answered again"
            )
        if is_unfinished(snapshot):
            return None
        gone = [RemoveMessage(id=str(message.id)) for message in messages[last + 1 :]]
        return {**self._values, "messages": gone}

    @property
    def asked(self) -> HumanMessage | None:
        """The message that is sent, if any."""
        return self._message

    def answered(self, snapshot: StateSnapshot) -> Reply | None:
        """Return the answer to the message if it has one; without a message, to the last one."""
        if self._command or (self._message is None and is_unfinished(snapshot)):
            return None
        if self._message and self._place(_messages(snapshot)) is None:
            return None
        reply = self.reply(snapshot)
        return reply if reply.message else None

    def reply(self, snapshot: StateSnapshot) -> Reply:
        """Return the first answer after the message; without one, after the last of the user's.

        A person may have edited the thread: an answer can be gone, a message unanswered.
        """
        return self.answer(snapshot.values)

    def answer(self, values: Mapping[str, Any]) -> Reply:
        """Return the answer in a thread's state. See `reply`."""
        messages = list(values.get("messages", []))
        place = self._place(messages)
        if place is None:
            place = _last_asked(messages) or 0
        after = messages[place:]
        spoken = (m for m in after if isinstance(m, AIMessage) and speaker_of(m))
        answer = next(spoken, None)
        return Reply(answer, values)

    def _place(self, messages: Sequence[BaseMessage]) -> int | None:
        """Return the message's index in the thread.

        Raises:
            InputError: The thread has another message with the same id.
        """
        if self._message is None:
            return None
        for place, message in enumerate(messages):
            if message.id == self._message.id:
                if message.type != "human" or message.content != self._message.content:
                    raise InputError(
                        f"the message id {message.id!r} stands for another message of this thread: "
                        "give each message an id of its own"
                    )
                return place
        return None


def _checked(message: HumanMessage | str | dict[str, Any] | None) -> HumanMessage | None:
    """Validate a message, and assign a missing id."""
    if message is None:
        return None
    if isinstance(message, str):
        message = HumanMessage(message)
    said = _from_dict(message) if isinstance(message, dict) else message
    if not isinstance(said, HumanMessage):
        raise InputError(f"{a_kind(said)} cannot be sent: pass a text, a HumanMessage, or None")
    check_text(text_of(said))
    return said if said.id else said.model_copy(update={"id": str(uuid4())})


def _from_dict(message: dict[str, Any]) -> BaseMessage:
    """Return the message that LangGraph would make of a dict."""
    try:
        return convert_to_messages([message])[0]
    except (ValueError, TypeError, KeyError, NotImplementedError):
        raise InputError(
            'this dict is no message: write it as {"role": "user", "content": "Hello."}'
        ) from None


def _checked_values(
    values: Mapping[str, Any] | None, command: Command[Any] | None
) -> dict[str, Any]:
    if values is None:
        return {}
    if not isinstance(values, Mapping) or "messages" in values:
        raise InputError(
            "`values` are other keys of the graph's input, as a mapping: pass the message beside "
            "them"
        )
    if command:
        raise InputError("a Command takes no `values`: put them into its `update`")
    return dict(values)


def _last_asked(messages: Sequence[BaseMessage]) -> int | None:
    """Return the place of the user's last message."""
    places = (n for n in range(len(messages) - 1, -1, -1) if isinstance(messages[n], HumanMessage))
    return next(places, None)


def _messages(snapshot: StateSnapshot) -> list[BaseMessage]:
    return list(snapshot.values.get("messages", []))
