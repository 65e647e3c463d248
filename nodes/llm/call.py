"""Asking a chat model: within the turn's budget, again where that helps, repaired once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
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

SHOWN_BACK = 2_000  # characters of an answer that the model sees again when it is to mend it
Given = TypeVar("Given")
Result = TypeVar("Result")


class UnreadableError(Exception):
    """An answer came, and nothing in it can be used; says why, to the model."""


@dataclass(frozen=True)
class Question(Generic[Given, Result]):
    """What is put to a model, and what becomes of its answer.

    Attributes:
        role: Who asks.
        agents: How many agents the graph has.
        model: The model, perhaps with settings bound to it. A fault of it becomes `ModelError`.
        named: The bare model, for its name.
        prompt: From what is given to the messages.
        read: From what is given and the answer to the result. Where it raises `UnreadableError`,
            the model is shown its answer and the reason, and asked once more.
    """

    role: Role
    agents: int
    model: Runnable[LanguageModelInput, AIMessage]
    named: BaseChatModel
    prompt: Callable[[Given], list[BaseMessage]]
    read: Callable[[Given, AIMessage], Result]


def ask(question: Question[Given, Result]) -> Runnable[Given, Result]:
    """Builds the step that puts a question to a model, sync and async.

    It is one Runnable rather than a chain of three: three agents run at once, and what a chain
    spends on its links they spend one after another.
    """

    def call(given: Given, config: RunnableConfig) -> Result:
        asking = _Asking(question, config)
        messages = question.prompt(given)
        try:
            answer = asking.answer(messages)
            try:
                return question.read(given, answer)
            except UnreadableError as why:
                answer = asking.answer(asking.mended(messages, answer, why))
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
                answer = await asking.aanswer(asking.mended(messages, answer, why))
                return asking.last(given, answer)
        finally:
            asking.end()

    return RunnableLambda(call, afunc=acall, name="ask")


class _Asking(Generic[Given, Result]):
    """One question on its way: what sync and async have in common."""

    def __init__(self, question: Question[Given, Result], config: RunnableConfig) -> None:
        self._question = question
        self._config = config
        self._budget = budget_of_turn(question.role, question.agents)
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

    def mended(
        self, messages: list[BaseMessage], answer: AIMessage, why: UnreadableError
    ) -> list[BaseMessage]:
        """The prompt that shows a model what was wrong with its answer."""
        if self._heard:
            raise self._nonsense() from None
        shown = AIMessage(answer.text[:SHOWN_BACK].strip() or "(nothing)")
        return [*messages, shown, HumanMessage(str(why))]

    def last(self, given: Given, answer: AIMessage) -> Result:
        """What is read from the mended answer."""
        try:
            return self._question.read(given, answer)
        except UnreadableError:
            raise self._nonsense() from None

    def end(self) -> None:
        """The turn's last question has been answered, or never will be."""
        if self._question.role == "generator":
            release("generator")

    @property
    def _heard(self) -> bool:
        """Whether a person may have seen some of the answer: it must not be said anew."""
        return self._question.role == "generator" and self._watch.shown

    def _time_left(self) -> float:
        """Seconds for another attempt; 0 where there must be none."""
        role = self._question.role
        return 0 if self._heard or self._budget.spent(role) else self._budget.left(role)

    def _begin(self) -> float:
        """Takes a call from the budget and gives the seconds that it may last."""
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
    """The client's own timeout, so that what was given up on here also ends there."""
    own = getattr(model, "request_timeout", None)
    if not speaks_openai(model) or not isinstance(own, int | float | None):
        return {}
    return {"timeout": seconds if own is None else min(own, seconds)}
