"""Channels of the state that keep a conversation's storage flat.

LangGraph saves all ordinary channels in every checkpoint, and a turn has eight of them. A
`DeltaChannel` saves only what a step wrote, and is put together again by reading back along the
checkpoints' parents, up to the last one that holds a snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, count, groupby
from typing import Annotated, Any, Self
from uuid import NAMESPACE_OID, uuid5

from langchain_core.messages import AnyMessage, BaseMessage, RemoveMessage, convert_to_messages
from langgraph.channels import DeltaChannel
from langgraph.errors import ErrorCode, InvalidUpdateError, create_error_message
from langgraph.graph.message import add_messages
from pydantic import Field

from langgraph_cooper.nodes.errors import InputError
from langgraph_cooper.prompts.errors import a_kind

FEWEST = 64
"""Updates of `messages` between two snapshots of a short conversation: 32 turns."""

DIALOGUE = "What the two people said. Add a message of the type human to answer."

REPORTS = 10
"""Turns between two snapshots of a report or a ranking."""


class MessagesChannel(DeltaChannel[Any]):
    """The messages of a conversation, as in LangGraph's MessagesState.

    A snapshot is saved whenever the list has doubled. At any length, all snapshots together are
    then no larger than twice the conversation, and at most half of it is put together again from
    single messages.
    """

    __slots__ = ()

    def __init__(
        self, reducer: Any = None, typ: Any = None, *, snapshot_frequency: int = FEWEST
    ) -> None:
        super().__init__(reducer or said, typ, snapshot_frequency=snapshot_frequency)

    @property
    def UpdateType(self) -> Any:  # noqa: N802
        """The type as Studio shows it; LangGraph keeps only `list` of it."""
        return Annotated[list[AnyMessage], Field(description=DIALOGUE)]

    @property
    def snapshot_frequency(self) -> int:
        """Updates after which a snapshot is due."""
        return max(FEWEST, len(self.value) // 2 if self.is_available() else 0)

    @snapshot_frequency.setter
    def snapshot_frequency(self, value: int) -> None:
        """LangGraph passes the number on when it copies a channel; it follows from the length."""


class LatestChannel(DeltaChannel[Any]):
    """The last value that was written; unlike LangGraph's LastValue it is saved once.

    Like LangGraph's it takes one value a step: of two nodes that write at once, one would be lost.
    """

    __slots__ = ()

    def __init__(
        self, reducer: Any = None, typ: Any = None, *, snapshot_frequency: int = REPORTS
    ) -> None:
        super().__init__(reducer or latest, typ, snapshot_frequency=snapshot_frequency)

    def update(self, values: Sequence[Any]) -> bool:
        """Take the value that a step wrote; what is read back from a saver goes another way.

        Raises:
            InvalidUpdateError: Several nodes wrote one.
        """
        if len(values) > 1:
            raise InvalidUpdateError(
                create_error_message(
                    message=f"At key {self.key!r}: Can receive only one value per step.",
                    error_code=ErrorCode.INVALID_CONCURRENT_GRAPH_UPDATE,
                )
            )
        return super().update(values)

    def from_checkpoint(self, checkpoint: Any) -> Self:
        """Begin with a saved value, or without one: the key is missing until a node writes it."""
        channel = super().from_checkpoint(checkpoint)
        empty = self.__class__(self.reducer, self.typ).value
        if checkpoint is None or checkpoint is empty:
            channel.value = empty
        return channel


def latest(_: Any, writes: Sequence[Any]) -> Any:
    """Return the last of the values written."""
    return writes[-1]


def said(messages: list[Any], writes: Sequence[Any]) -> list[Any]:
    """Add written messages to a list, as `add_messages` does for each write in turn.

    Args:
        messages: The list before.
        writes: Per write a message or several, in any form that `add_messages` takes.

    Raises:
        InputError: Something cannot be read as a message.
        ValueError: A message to be removed is not there, as from `add_messages`.
    """
    steps = [
        [_read(one) for one in (write if isinstance(write, list) else [write])] for write in writes
    ]
    # As few calls as possible: each goes through the whole list.
    for removing, together in groupby(steps, key=_removes):
        for new in together if removing else [list(chain(*together))]:
            messages = add_messages(messages, _identified(messages, new))  # type: ignore[arg-type, assignment]
    return messages


def _read(message: Any) -> BaseMessage:
    try:
        return convert_to_messages([message])[0]
    except (ValueError, TypeError, KeyError, NotImplementedError):
        raise InputError(
            f"{a_kind(message)} in `messages` cannot be read as a message: pass a HumanMessage, a "
            'text, or {"role": "user", "content": "Hello."}'
        ) from None


def _removes(messages: Sequence[BaseMessage]) -> bool:
    return any(isinstance(message, RemoveMessage) for message in messages)


def _identified(before: Sequence[BaseMessage], new: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Give messages without an id one that is the same whenever the write is read again.

    These came as bare texts: LangGraph gives message objects an id before it saves them.
    """
    taken = {message.id for message in before}
    named = []
    for message in new:
        ids = (str(uuid5(NAMESPACE_OID, f"{n} {message.type} {message.text}")) for n in count())
        id = message.id or next(id for id in ids if id not in taken)
        taken.add(id)
        named.append(message if message.id else message.model_copy(update={"id": id}))
    return named
