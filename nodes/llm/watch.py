"""Watching an answer come in: whether it has begun, whether anybody saw it, whether it is late."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.runnables import RunnableConfig

Result = TypeVar("Result")


class Watch(BaseCallbackHandler):
    """Sees every chunk of a stream before any other handler does.

    Args:
        seconds: From now on; a chunk that comes later ends the stream.

    Attributes:
        begun: Whether a chunk came.
        shown: Whether a chunk with text came, which others may have seen too.
    """

    run_inline = True  # in the order of the chunks
    raise_error = True  # a late chunk must end the stream

    def __init__(self, seconds: float) -> None:
        self.begun = False
        self.shown = False
        self._ends = time.monotonic() + seconds

    @property
    def ignore_chat_model(self) -> bool:
        """Spares the work of writing all messages out as text when a call begins."""
        return True

    def on_llm_new_token(self, token: Any, **_: Any) -> None:
        """A chunk of a stream."""
        self._came(bool(token))

    def on_stream_event(self, event: Any, **_: Any) -> None:
        """The same, in LangChain's newer protocol of events."""
        self._came(event.get("event") == "content-block-delta")

    def _came(self, text: bool) -> None:
        if time.monotonic() > self._ends:
            raise TimeoutError("the rest of the answer came too late")
        self.begun = True
        self.shown = self.shown or text

    def beside(self, config: RunnableConfig) -> RunnableConfig:
        """The config with this handler before all others."""
        callbacks = config.get("callbacks")
        if isinstance(callbacks, BaseCallbackManager):
            callbacks = callbacks.copy()
            callbacks.handlers.insert(0, self)
            callbacks.inheritable_handlers.insert(0, self)
            return {**config, "callbacks": callbacks}
        return {**config, "callbacks": [self, *(callbacks or [])]}


def within(seconds: float, call: Callable[[], Result]) -> Result:
    """Calls something and gives up on it after a time.

    A client's own timeout is one for each read: an answer that drips never meets it. A thread
    cannot be ended from outside; one that was given up on ends with its connection, and nothing
    waits for it.

    Raises:
        TimeoutError: It took longer.
    """
    outcome: Future[Result] = Future()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            outcome.set_result(context.run(call))
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=work, name="model-call", daemon=True).start()
    return outcome.result(seconds)
