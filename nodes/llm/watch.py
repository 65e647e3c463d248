"""Watches an answer stream in: whether it began, was seen or is late; cleans it."""

from __future__ import annotations

import contextvars
import itertools
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.runnables import RunnableConfig

from langgraph_cooper.nodes.language.controls import PlainStream, plain
from langgraph_cooper.nodes.language.thoughts import ThoughtFilter
from langgraph_cooper.nodes.llm.budget import POLL
from langgraph_cooper.nodes.llm.faults import capped_short, ended

# LangGraph leaves the tokens of a model with this tag out of the "messages" stream.
NOT_STREAMED = "nostream"
QUIET = RunnableConfig(tags=[NOT_STREAMED], metadata={"emit-messages": False})
"""The configuration of a model whose words are not for the person; AG-UI reads its metadata."""
Result = TypeVar("Result")


class Watch(BaseCallbackHandler):
    """Handles every chunk of a stream before any other handler.

    A thought, or what steers a terminal, is removed from the chunk itself: the handlers after this
    one, LangGraph's among them, and the final message get the same object.

    Args:
        seconds: From now on; a later chunk ends the stream.
        thinking: Whether the answer is expected to begin in a thought without an opening tag; None
            if that is unknown, which holds the text until a thought or the answer ends.

    Attributes:
        begun: Whether a chunk came.
        shown: Whether a chunk with text came, which a person may have seen.
        held: Whether such chunks are kept from the "messages" stream until a guard has checked.
        reports: How many reports of usage came: LangChain adds up those of each chunk.
        thoughts: The filter of the thoughts.
    """

    run_inline = True  # in the order of the chunks
    raise_error = True  # a late chunk must end the stream

    def __init__(self, seconds: float, *, thinking: bool | None = False) -> None:
        self.begun = False
        self.shown = False
        self.held = False
        self.reports = 0
        self.thoughts = ThoughtFilter(thinking is not False)
        self._plain = PlainStream()
        self._thinks = thinking is True
        self._ends = time.monotonic() + seconds

    @property
    def ignore_chat_model(self) -> bool:
        """Skip the event of a call's beginning, for which LangChain writes out all messages."""
        return True

    def on_llm_new_token(
        self, token: Any, *, chunk: Any = None, tags: Sequence[str] | None = None, **_: Any
    ) -> None:
        """Note a chunk of a stream, and remove thoughts and escapes from it."""
        self.held = NOT_STREAMED in (tags or ())
        message = getattr(chunk, "message", None)
        self.reports += bool(getattr(message, "usage_metadata", None))
        over = message is not None and (ended(message) or message.chunk_position == "last")
        if message is not None and isinstance(message.content, str):
            words = self._plain.feed(message.content)
            token = self.thoughts.feed(words + self._plain.end() if over else words)
            if over:
                token += self.thoughts.end(cut=self._thinks and capped_short(message))
            message.content = token
        elif message is not None:
            _clean_blocks(message.content, self._plain.feed)
            if over and (rest := self._plain.end()):
                message.content.append(rest)
        self._came(bool(token))

    def on_stream_event(self, event: Any, *, tags: Sequence[str] | None = None, **_: Any) -> None:
        """Note a chunk in LangChain's newer protocol of events, and remove escapes from it."""
        self.held = NOT_STREAMED in (tags or ())
        self.reports = 2  # it hands on only their sum
        _clean_blocks([event.get("delta")], self._plain.feed)
        if event.get("event") == "content-block-finish":
            self._plain.end()  # the whole block has what was held
        _clean_blocks([event.get("content")], plain)
        self._came(event.get("event") == "content-block-delta")

    def on_llm_end(self, response: Any, **_: Any) -> None:
        """Remove escapes from an answer that did not stream: LangGraph streams it from here."""
        for generation in itertools.chain.from_iterable(response.generations):
            if (message := getattr(generation, "message", None)) is None:
                continue
            if isinstance(message.content, str):
                message.content = plain(message.content)
            else:
                _clean_blocks(message.content, plain)

    def _came(self, text: bool) -> None:
        if time.monotonic() > self._ends:
            raise TimeoutError("the rest of the answer came too late")
        self.begun = True
        self.shown = self.shown or text

    def close(self) -> None:
        """End the stream at its next chunk: nobody waits for it any more."""
        self._ends = -math.inf

    def beside(self, config: RunnableConfig) -> RunnableConfig:
        """Return the config with this handler before all others."""
        callbacks = config.get("callbacks")
        if isinstance(callbacks, BaseCallbackManager):
            callbacks = callbacks.copy()
            callbacks.handlers.insert(0, self)
            callbacks.inheritable_handlers.insert(0, self)
            return {**config, "callbacks": callbacks}
        return {**config, "callbacks": [self, *(callbacks or [])]}


def _clean_blocks(blocks: list[Any], clean: Callable[[str], str]) -> None:
    for place, block in enumerate(blocks):
        if isinstance(block, str):
            blocks[place] = clean(block)
        elif isinstance(block, dict) and isinstance(block.get("text"), str):
            block["text"] = clean(block["text"])


def within(
    seconds: float, call: Callable[[], Result], check: Callable[[], None] = lambda: None
) -> Result:
    """Run a call in a thread and give up on it after a time.

    A read timeout never fires on a dripping stream. Python cannot kill a thread: an abandoned call
    ends in the background with its connection.

    Args:
        seconds: The time.
        call: The call.
        check: Called again and again meanwhile; an error of its own also gives up the call.

    Raises:
        TimeoutError: The call took longer.
    """
    outcome: Future[Result] = Future()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            outcome.set_result(context.run(call))
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=work, name="model-call", daemon=True).start()
    ends = time.monotonic() + seconds
    while not wait([outcome], min(POLL, max(ends - time.monotonic(), 0))).done:
        check()
        if time.monotonic() >= ends:
            raise TimeoutError
    return outcome.result()
