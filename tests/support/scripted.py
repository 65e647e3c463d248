"""A chat model that answers from a script keyed by module: parallel agents have no order."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field

from tests.support.roles import Asked, recognise, sensible

Answer = str | Exception | Callable[[list[BaseMessage]], str]


@dataclass(frozen=True)
class ModelCall:
    """One call: the module, its messages, and the clock before and after, in seconds."""

    asked: Asked
    messages: list[BaseMessage]
    began: float
    ended: float


class ScriptedModel(BaseChatModel):
    """Answers by the script if it has the key, else as a sensible model would.

    Attributes:
        script: Answers by key: "tracker:exploration" for one agent, "tracker" for all,
            "generator". An exception is raised, a function gets the messages.
        delay: Seconds that every call takes.
        delays: Seconds for the calls of one module in place of it, by key as in the script.
        calls: What was asked, in the order in which it was answered.
    """

    script: Mapping[str, Any] = Field(default_factory=dict)
    delay: float = 0.0
    delays: Mapping[str, float] = Field(default_factory=dict)
    calls: list[ModelCall] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def asked(self, key: str) -> list[ModelCall]:
        """Return the calls of one module: "tracker:exploration", all "tracker", or "generator"."""
        return [call for call in self.calls if key in (call.asked.key, call.asked.role)]

    def unused(self) -> set[str]:
        """Return the keys of the script that no call used."""
        return {key for key in self.script if not self.asked(key)}

    def _pause(self, messages: list[BaseMessage]) -> float:
        asked = recognise(messages[0].text)
        return self.delays.get(asked.key, self.delays.get(asked.role, self.delay))

    def _answer(self, messages: list[BaseMessage], began: float) -> str:
        system = messages[0].text
        asked = recognise(system)
        self.calls.append(ModelCall(asked, messages, began, time.monotonic()))
        answer: Answer = self.script.get(asked.key, self.script.get(asked.role, sensible(system)))
        if isinstance(answer, Exception):
            raise answer
        return answer(messages) if callable(answer) else answer

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        began = time.monotonic()
        time.sleep(self._pause(messages))
        return _result(self._answer(messages, began))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        began = time.monotonic()
        await asyncio.sleep(self._pause(messages))
        return _result(self._answer(messages, began))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        began = time.monotonic()
        time.sleep(self._pause(messages))
        for chunk in _pieces(self._answer(messages, began)):
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        began = time.monotonic()
        await asyncio.sleep(self._pause(messages))
        for chunk in _pieces(self._answer(messages, began)):
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


def _result(text: str) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=AIMessage(content=text))])


def _pieces(text: str) -> Iterator[ChatGenerationChunk]:
    for piece in re.findall(r"\S+\s*", text) or [""]:
        yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
