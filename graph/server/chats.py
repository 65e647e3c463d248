"""Which thread an OpenAI-style request goes on with: such clients send the whole conversation.

A transcript is looked up by a hash. It leads to a thread and the checkpoint after its last reply. A
request goes on with the thread where that is its last checkpoint. Otherwise somebody regenerates a
reply or edits a message, and the thread is forked there.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import uuid4
from weakref import WeakValueDictionary

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langgraph_cooper.graph.server.records import Place, Thread
from langgraph_cooper.graph.server.runs import Run
from langgraph_cooper.graph.server.served import ServedTask
from langgraph_cooper.graph.server.service import Answering, Service
from langgraph_cooper.nodes.language.history import speaker_of, text_of

Role = Literal["user", "assistant"]
Transcript = Sequence["Line"]

NONE = ("", "none", "null", "undefined")
JOB = "### Task:"
"""Begins the prompts with which Open WebUI asks for titles, tags and follow-up questions."""


@dataclass(frozen=True)
class Line:
    """A message of a transcript."""

    role: Role
    text: str

    @property
    def bare(self) -> tuple[str, str]:
        """The line as it is compared: clients change spaces."""
        return self.role, " ".join(self.text.split())


@dataclass(frozen=True)
class Chat:
    """The chat that a request belongs to.

    Attributes:
        owner: Whose token it came with.
        person: The client's own user, where one token serves several.
        model: The task's name.
        id: The chat's id; None where the client sends none.
        message_id: The id of this request; None where the client sends none.
        whole: Whether a message without a history begins the chat anew. Other clients with a chat
            id may send the newest message alone.
    """

    owner: str
    person: str
    model: str
    id: str | None
    message_id: str | None
    whole: bool

    def key(self, kind: str, value: object) -> str:
        """Return a key of the table of chats. It tells nothing of what was said."""
        scope = [self.owner, self.person, self.model, self.id, kind, value]
        text = json.dumps(scope, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()

    def transcript(self, lines: Transcript) -> str:
        """Return the key of a transcript."""
        return self.key("transcript", [line.bare for line in lines])

    @property
    def sent(self) -> str | None:
        """The key of the request, to find it when it is sent again."""
        return self.key("message", self.message_id) if self.message_id else None

    @property
    def thread(self) -> str | None:
        """The key of the chat's thread."""
        return self.key("thread", None) if self.id else None


def chat_of(
    owner: str,
    model: str,
    headers: Mapping[str, str],
    metadata: Mapping[str, str],
    user: str | None,
) -> Chat:
    """Return the chat that a request belongs to, from Open WebUI's headers or its metadata."""

    def header(name: str) -> str | None:
        return _filled(headers.get(f"x-openwebui-{name}"))

    named = header("chat-id")
    return Chat(
        owner=owner,
        person=header("user-id") or user or "",
        model=model,
        id=named or _filled(headers.get("x-chat-id")) or _filled(metadata.get("chat_id")),
        message_id=header("message-id")
        or _filled(headers.get("x-message-id"))
        or _filled(metadata.get("message_id")),
        whole=named is not None,
    )


def is_job(headers: Mapping[str, str], metadata: Mapping[str, str], lines: Transcript) -> bool:
    """Return whether a front end asks for a title and the like, instead of a person for a reply."""
    if _filled(headers.get("x-openwebui-task")) or _filled(metadata.get("task")):
        return True
    return len(lines) == 1 and lines[0].text.lstrip().startswith(JOB)


def _filled(value: str | None) -> str | None:
    """Return a value unless it is empty, or a template that nobody filled."""
    text = (value or "").strip()
    return None if text.lower() in NONE or text.startswith("{{") else text[:300]


class Chats:
    """Finds or makes the thread of a request, and begins its turn."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def take(self, chat: Chat, lines: Transcript) -> Answering:
        """Begin the turn that answers the last line, or find the one that does already."""
        *history, last = lines
        lock = self._locks.setdefault(chat.transcript(history), asyncio.Lock())
        async with lock:  # the same request twice at a time: the second one sees the first
            thread = await self._sent_before(chat)
            if thread is None:
                thread = await self._thread(chat, history)
                await self._note(chat, thread)
            id = chat.sent or uuid4().hex

            async def keep(run: Run, checkpoint: str | None) -> None:
                told = {run.told.text, run.told.shown} - {None, ""}
                ends = [[*lines, Line("assistant", str(text))] for text in told]
                place = Place(thread.id, checkpoint)
                keys = [chat.transcript(end) for end in ends]
                await self._service.records.keep_chat(keys, place)

            message = HumanMessage(last.text, id=id[:32])
            return await self._service.take(thread, message, keep)

    async def _sent_before(self, chat: Chat) -> Thread | None:
        return await self._at(chat, await self._place(chat.sent))

    async def _note(self, chat: Chat, thread: Thread) -> None:
        keys = [key for key in (chat.sent, chat.thread) if key]
        await self._service.records.keep_chat(keys, Place(thread.id, None))

    async def _thread(self, chat: Chat, history: Transcript) -> Thread:
        task = self._service.task(chat.model)
        own = await self._at(chat, await self._place(chat.thread))
        if own and (history or not chat.whole) and await self._goes_on(task, chat, own, history):
            return own
        if not history:
            return await self._service.new_thread(chat.owner, chat.model)
        place = await self._place(chat.transcript(history))
        found = await self._at(chat, place)
        if place is None or found is None:
            return await self._imported(chat, history)
        if await self._is_head(task, found, place):
            return found

        async def copying(task: ServedTask, to: str) -> None:
            await task.copy(found.id, place.checkpoint, to)

        return await self._service.copied(found, copying)

    async def _place(self, key: str | None) -> Place | None:
        return await self._service.records.chat(key) if key else None

    async def _at(self, chat: Chat, place: Place | None) -> Thread | None:
        return await self._service.records.thread(place.thread, chat.owner) if place else None

    async def _goes_on(
        self, task: ServedTask, chat: Chat, thread: Thread, history: Transcript
    ) -> bool:
        """Return whether a history is that of a thread, or its end where clients leave some out."""
        given = [line.bare for line in history]
        if self._service.runs.on(thread.id) or not given:
            return not given
        said = [line.bare for line in _lines((await task.state(thread.id)).values)]
        return given == (said if chat.whole else said[-len(given) :])

    async def _is_head(self, task: ServedTask, thread: Thread, place: Place) -> bool:
        if self._service.runs.on(thread.id) or await self._service.runs.is_locked(thread.id):
            return False
        return await task.head(thread.id) == place.checkpoint

    async def _imported(self, chat: Chat, history: Transcript) -> Thread:
        thread = await self._service.new_thread(chat.owner, chat.model)
        messages = [_message(line) for line in history]
        await self._service.task(chat.model).write(thread.id, messages)
        return thread


def _message(line: Line) -> BaseMessage:
    kind = HumanMessage if line.role == "user" else AIMessage
    return kind(line.text, id=uuid4().hex)


def _lines(values: Mapping[str, Sequence[BaseMessage]]) -> list[Line]:
    said: list[Line] = []
    for message in values.get("messages", []):
        if speaker := speaker_of(message):
            role: Role = "user" if speaker == "user" else "assistant"
            said.append(Line(role, text_of(message)))
    return said
