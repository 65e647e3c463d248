"""Calls a chat model: within the turn's budget, with retries and one repair of its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from tenacity import AsyncRetrying, Retrying

from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.nodes.llm.budget import Role, budget_of_turn, release
from langgraph_cooper.nodes.llm.faults import checked, fault, late, timed_out
from langgraph_cooper.nodes.llm.models import describe, speaks_openai
from langgraph_cooper.nodes.llm.retry import policy
from langgraph_cooper.nodes.llm.watch import Watch, within

MAX_SHOWN_BACK = 2_000  # characters of its unreadable answer that the model is shown
Given = TypeVar("Given")
Result = TypeVar("Result")


class UnreadableError(Exception):
    """The answer is of no use; the message tells the model why."""


@dataclass(frozen=True)
class Question(Generic[Given, Result]):
    """A question to a model: how to make its prompt and how to read its answer.

    Attributes:
        role: The module that asks.
        aspects: Names of the task's aspects.
        model: The model, perhaps with settings bound to it. Its faults become `ModelError`.
        named: The bare model, for its name.
        prompt: Makes the messages from the input.
        read: Reads the result from the input and the answer. If it raises `UnreadableError`, the
            model is shown its answer and the reason, and asked once more.
    """

    role: Role
    aspects: Sequence[str]
    model: Runnable[LanguageModelInput, AIMessage]
    named: BaseChatModel
    prompt: Callable[[Given], list[BaseMessage]]
    read: Callable[[Given, AIMessage], Result]


def ask(question: Question[Given, Result]) -> Runnable[Given, Result]:
    """Build the Runnable that asks a model a question, sync and async.

    It is one Runnable and not a chain of three: several agents run at once, and under one
    interpreter lock the overhead of their chains would add up.
    """

    def call(given: Given, config: RunnableConfig) -> Result:
        asking = _Asking(question, config)
        messages = question.prompt(given)
        try:
            answer = asking.answer(messages)
            try:
                return question.read(given, answer)
            except UnreadableError as why:
                answer = asking.answer(asking.repair(messages, answer, why))
                return asking.last(given, answer)
        finally:
            asking.end()

    async def acall(given: Given, config: RunnableConfig) -> Result:
        asking = _Asking(question, config)
        messages = question.prompt(given)
        try:
            answer = await asking.aanswer(messages)
            try:
                return question.read(given, answer)
            except UnreadableError as why:
                answer = await asking.aanswer(asking.repair(messages, answer, why))
                return asking.last(given, answer)
        finally:
            asking.end()

    return RunnableLambda(call, afunc=acall, name="ask")


class _Asking(Generic[Given, Result]):
    """One question being asked: the parts that sync and async share."""

    def __init__(self, question: Question[Given, Result], config: RunnableConfig) -> None:
        self._question = question
        self._config = config
        self._budget = budget_of_turn(question.aspects)
        self._watch = Watch(0)

    def answer(self, messages: list[BaseMessage]) -> AIMessage:
        model, named = self._question.model, self._question.named

        def once() -> AIMessage:
            seconds = self._begin()
            config, limits = self._watch.beside(self._config), _limits(named, seconds)
            try:
                answer = within(seconds, lambda: model.invoke(messages, config, **limits))
                return checked(answer, named)
            except Exception as error:
                self._fail(error, seconds)

        return Retrying(**policy(self._time_left))(once)

    async def aanswer(self, messages: list[BaseMessage]) -> AIMessage:
        model, named = self._question.model, self._question.named

        async def once() -> AIMessage:
            seconds = self._begin()
            config, limits = self._watch.beside(self._config), _limits(named, seconds)
            try:
                async with asyncio.timeout(seconds):
                    answer = await model.ainvoke(messages, config, **limits)
                return checked(answer, named)
            except Exception as error:
                self._fail(error, seconds)

        return await AsyncRetrying(**policy(self._time_left))(once)

    def repair(
        self, messages: list[BaseMessage], answer: AIMessage, why: UnreadableError
    ) -> list[BaseMessage]:
        """Return the prompt that shows the model what was wrong with its answer."""
        if self._heard:
            raise self._nonsense() from None
        shown = AIMessage(answer.text[:MAX_SHOWN_BACK].strip() or "(nothing)")
        return [*messages, shown, HumanMessage(str(why))]

    def last(self, given: Given, answer: AIMessage) -> Result:
        """Return the result of the repaired answer."""
        try:
            return self._question.read(given, answer)
        except UnreadableError:
            raise self._nonsense() from None

    def end(self) -> None:
        """Release the turn's budget after its last question."""
        if self._question.role == "generator":
            release(self._question.aspects)

    @property
    def _heard(self) -> bool:
        """Whether a person may have seen some of the answer, which then cannot be retried."""
        return self._question.role == "generator" and self._watch.shown

    def _time_left(self) -> float:
        """Return the seconds left for another attempt; 0 if there must be none."""
        role = self._question.role
        return 0 if self._heard or self._budget.spent(role) else self._budget.left(role)

    def _begin(self) -> float:
        """Take a call from the budget and return the seconds that it may last."""
        seconds = self._budget.left(self._question.role)
        if seconds <= 0:
            raise late(self._question.named, seconds)
        self._budget.spend(self._question.role)
        self._watch = Watch(seconds)
        return seconds

    def _fail(self, error: Exception, seconds: float) -> NoReturn:
        named = self._question.named
        if timed_out(error) and self._budget.left(self._question.role) <= 0:
            found: ModelError | None = late(named, seconds, begun=self._heard)
        else:
            found = fault(error, named, begun=self._watch.begun)
        if found is None:
            raise error
        found.shown = self._heard
        if found is error:
            raise found
        raise found from error

    def _nonsense(self) -> ModelError:
        role, named = self._question.role, describe(self._question.named)
        told = f"{named} gave an answer that the {role} cannot use; send the message again"
        return ModelError(told, "nonsense", shown=self._heard)


def _limits(model: BaseChatModel, seconds: float) -> dict[str, Any]:
    """Return the client's own timeout: a call that was given up here ends there too."""
    own = getattr(model, "request_timeout", None)
    if not speaks_openai(model) or not isinstance(own, int | float | None):
        return {}
    return {"timeout": seconds if own is None else min(own, seconds)}
