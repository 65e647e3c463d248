"""Calls a chat model: within the turn's budget, with retries and one repair of its answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, TypeVar

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from tenacity import AsyncRetrying, Retrying

from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.nodes.language.controls import plain
from langgraph_cooper.nodes.language.thoughts import strip_thoughts, thinks_unopened
from langgraph_cooper.nodes.llm.budget import (
    Role,
    budget_of_guard,
    budget_of_turn,
    context_of_turn,
    release,
)
from langgraph_cooper.nodes.llm.faults import (
    capped_short,
    checked,
    fault,
    late,
    salvaged,
    stopped,
    timed_out,
)
from langgraph_cooper.nodes.llm.material import tokens_of
from langgraph_cooper.nodes.llm.models import (
    capped_model,
    describe,
    has_cap,
    speaks_openai,
    without_temperature,
)
from langgraph_cooper.nodes.llm.parsing import goes_in_circles, in_one_block, whole_sentences
from langgraph_cooper.nodes.llm.quirks import (
    MOST_ROOM,
    ROOM,
    Plainer,
    Request,
    capped,
    habits_of,
    shaped,
)
from langgraph_cooper.nodes.llm.retry import policy
from langgraph_cooper.nodes.llm.watch import Watch, within

# Characters of its unreadable answer that the model is shown: at most, and at least if it has them,
# even after a prompt that is itself too long: without it the model cannot tell what was wrong.
MAX_SHOWN_BACK, LEAST_SHOWN_BACK = 2_000, 200
# Seconds for which other lanes wait for the first one's answer from an unknown server: a refusal
# comes sooner, and then only one of them is refused.
FIRST_ALONE = 1.0
# How models begin to think aloud.
ALOUD = re.compile(r"\s*(okay|alright|hmm|let me|let's|we need|i need|first,)\b", re.IGNORECASE)
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
        read_shown: Reads, in place of `read`, an answer that a person has already seen in full.
        response_format: The form of the answer, for an endpoint that knows the parameter.
        tokens: Returns, for the input, how many tokens a good answer takes at most.
        outside: Limits of a question outside a run.
    """

    role: Role
    aspects: Sequence[str]
    model: Runnable[LanguageModelInput, AIMessage]
    named: BaseChatModel
    prompt: Callable[[Given], list[BaseMessage]]
    read: Callable[[Given, AIMessage], Result]
    response_format: dict[str, Any] | None = None
    tokens: Callable[[Given], int] | None = None
    read_shown: Callable[[Given, AIMessage], Result] | None = None
    outside: CooperContext | None = None


def prompt_limit(model: BaseChatModel | None) -> int:
    """Return how many tokens by our count a prompt may have: a model's server may count more."""
    factor = habits_of(model).token_factor if model else 1.0
    return int(context_of_turn().prompt_tokens / factor)


def ask(question: Question[Given, Result]) -> Runnable[Given, Result]:
    """Build the Runnable that asks a model a question, sync and async.

    It is one Runnable and not a chain of three: several agents run at once, and under one
    interpreter lock the overhead of their chains would add up.
    """

    def call(given: Given, config: RunnableConfig) -> Result:
        asking = _Asking(question, config, given)
        with asking.timed():
            asking.meet()
            messages = question.prompt(given)
            answer = asking.answer(messages)
            try:
                return asking.read(answer)
            except UnreadableError as why:
                answer = asking.answer(asking.repair(messages, answer, why))
                return asking.last(answer)

    async def acall(given: Given, config: RunnableConfig) -> Result:
        asking = _Asking(question, config, given)
        with asking.timed():
            if asking.knows_slots:
                asking.meet()
            else:
                await asyncio.to_thread(asking.meet)
            # In a thread: it may read what was said with a model.
            messages = await asyncio.to_thread(question.prompt, given)
            answer = await asking.aanswer(messages)
            try:
                return asking.read(answer)
            except UnreadableError as why:
                answer = await asking.aanswer(asking.repair(messages, answer, why))
                return asking.last(answer)

    return RunnableLambda(call, afunc=acall, name="ask")


class _Asking(Generic[Given, Result]):
    """One question being asked: the parts that sync and async share."""

    def __init__(
        self,
        question: Question[Given, Result],
        config: RunnableConfig,
        given: Given,
    ) -> None:
        self._question = question
        self._config = config
        self._given = given
        limits = context_of_turn(question.outside)
        if question.role == "guard":
            self._budget = budget_of_guard(limits)
        else:
            self._budget = budget_of_turn(question.aspects, limits)
        self._chosen = limits.at_once is not None
        self._habits = habits_of(question.named)
        self._room = 1
        self._plainer = Plainer()
        self._watch = Watch(0)

    @property
    def knows_slots(self) -> bool:
        """Whether `meet` asks no server."""
        return self._chosen or self._budget.met or self._habits.slots_known

    def meet(self) -> None:
        """Find out how many slots the server has, unless the run chose a number."""
        if not self._chosen:
            self._budget.meet(partial(self._habits.slots, self._question.named))

    def answer(self, messages: list[BaseMessage]) -> AIMessage:
        role = self._question.role

        def once() -> AIMessage:
            with self._slot() as turn:
                wait([turn], timeout=self._budget.left(role))
                with self._habits.first(role) as first:
                    wait([first], timeout=FIRST_ALONE)
                    return exchange(turn)

        def exchange(turn: Future[None]) -> AIMessage:
            while True:
                seconds = self._begin(turn)
                request = self._request(messages, seconds)
                config = self._watch.beside(self._config)
                call = partial(
                    self._model(request).invoke, request.messages, config, **request.options
                )
                try:
                    return self._taken(within(seconds, call, self._budget.check_drained), request)
                except Exception as error:
                    if answer := salvaged(error):
                        return self._taken(answer, request)
                    self._fail(error, seconds, request)

        return Retrying(**policy(self._time_left), sleep=self._budget.sleep)(once)

    async def aanswer(self, messages: list[BaseMessage]) -> AIMessage:
        role = self._question.role

        async def once() -> AIMessage:
            with self._slot() as turn:
                await _reached(turn, self._budget.left(role))
                with self._habits.first(role) as first:
                    await _reached(first, FIRST_ALONE)
                    return await exchange(turn)

        async def exchange(turn: Future[None]) -> AIMessage:
            while True:
                seconds = self._begin(turn)
                request = self._request(messages, seconds)
                config = self._watch.beside(self._config)
                call = partial(
                    self._model(request).ainvoke, request.messages, config, **request.options
                )
                try:
                    async with asyncio.timeout(seconds):
                        answer = await call()
                    return self._taken(answer, request)
                except Exception as error:
                    if found := salvaged(error):
                        return self._taken(found, request)
                    self._fail(error, seconds, request)

        return await AsyncRetrying(**policy(self._time_left))(once)

    def read(self, answer: AIMessage) -> Result:
        """Return the result of an answer, even of one that its cap cut off."""
        if capped_short(answer) and self._only_thoughts(answer):
            raise UnreadableError("That is no answer yet.")
        question = self._question
        seen = self._heard and not self._watch.held
        return ((seen and question.read_shown) or question.read)(self._given, answer)

    def repair(
        self, messages: list[BaseMessage], answer: AIMessage, why: UnreadableError
    ) -> list[BaseMessage]:
        """Return the prompt of a second attempt: with more room, or with what was wrong."""
        role = self._question.role
        if self._heard:
            raise self._useless(answer) from None
        if capped_short(answer):
            thinking = self._only_thoughts(answer) or not strip_thoughts(answer.text).strip()
            # Words without end need no room: sixteen times as many would hold a slow server up.
            factor, limit = (ROOM, MOST_ROOM) if thinking else (2, 2)
            capped, room = self._tokens() is not None, self._room
            wider = capped and self._habits.widen(role, room, factor=factor, limit=limit)
            if not capped or (thinking and not wider):
                raise self._useless(answer) from None
            if thinking:
                return messages
        return self._with_reason(messages, answer, HumanMessage(str(why)))

    def _with_reason(
        self, messages: list[BaseMessage], answer: AIMessage, why: HumanMessage
    ) -> list[BaseMessage]:
        """Return the prompt with as much of the answer as its limit allows, and the reason."""
        limit, text = prompt_limit(self._question.named), answer.text[:MAX_SHOWN_BACK].strip()
        if tokens_of([*messages, why]) > limit:  # its answer told that the server counts more
            messages = self._question.prompt(self._given)
        while len(text) > LEAST_SHOWN_BACK and tokens_of([*messages, AIMessage(text), why]) > limit:
            text = text[: max(len(text) * 3 // 4, LEAST_SHOWN_BACK)]
        return [*messages, AIMessage(text.strip() or "(nothing)"), why]

    def last(self, answer: AIMessage) -> Result:
        """Return the result of the second answer."""
        try:
            return self.read(answer)
        except UnreadableError:
            raise self._useless(answer) from None

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Take the question's time from the turn's budget; release that after the last one."""
        try:
            with self._budget.asking():
                yield
        finally:
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

    @contextmanager
    def _slot(self) -> Iterator[Future[None]]:
        """Wait for one of the turn's slots, which is free again at the end."""
        turn = self._budget.slots.enter(self._question.role)
        try:
            yield turn
        finally:
            self._budget.slots.leave(turn)

    def _begin(self, turn: Future[None]) -> float:
        """Take a call from the budget and return the seconds that it may last."""
        role = self._question.role
        self._room = self._habits.room(role)
        seconds = self._budget.share(role) if turn.done() else 0
        if seconds <= 0:
            raise late(self._question.named, seconds)
        self._budget.spend(role)
        self._watch = Watch(seconds, thinking=self._habits.thinks)
        return seconds

    def _tokens(self) -> int | None:
        """Return the cap on the answer; None if the caller's model has its own."""
        named, tokens = self._question.named, self._question.tokens
        if tokens is None or has_cap(named):
            return None
        return tokens(self._given) * self._room

    def _model(self, request: Request) -> Runnable[LanguageModelInput, AIMessage]:
        tokens, named = self._tokens(), self._question.named
        if speaks_openai(named):
            chosen = getattr(named, "temperature", None) != request.temperature
            return without_temperature(self._question.model) if chosen else self._question.model
        return (
            self._question.model if tokens is None else capped_model(self._question.model, tokens)
        )

    def _request(self, messages: list[BaseMessage], seconds: float) -> Request:
        """Return the request in the form that the server is known to take."""
        named, form, tokens = self._question.named, self._question.response_format, self._tokens()
        if not speaks_openai(named):
            return Request(messages)
        options = {"response_format": form} if form else {}
        request = Request(messages, options, getattr(named, "temperature", None))
        if body := getattr(named, "extra_body", None):
            request = replace(request, options={**request.options, "extra_body": body})
        if tokens is not None:
            request = capped(request, self._habits.cap, tokens)
        request = shaped(request, {*self._habits.quirks, *self._plainer.quirks})
        return replace(request, options={**request.options, **_limits(named, seconds)})

    def _only_thoughts(self, answer: AIMessage) -> bool:
        """Return whether an answer was cut off in a thought without an opening tag."""
        text = answer.text
        return not thinks_unopened(text) and (
            (self._habits.thinks and not self._watch.thoughts.unopened)
            or ALOUD.match(strip_thoughts(text)) is not None
        )

    def _taken(self, answer: AIMessage, request: Request) -> AIMessage:
        """Return an answer if it is complete, and remember what was learnt from it."""
        checked(answer, self._question.named)
        answer = in_one_block(answer)
        answer = answer.model_copy(update={"content": plain(str(answer.content))})
        if capped_short(answer) and _cut_late(answer.text):
            self._habits.widen(self._question.role, self._room, factor=2, limit=2)
        self._habits.taken(request)
        self._habits.learn(self._plainer.learnt(), certain=self._plainer.certain)
        if answer.usage_metadata:
            counted = answer.usage_metadata["input_tokens"] if self._watch.reports <= 1 else None
            limit = prompt_limit(self._question.named)
            self._habits.count(counted, tokens_of(request.messages), limit)
        streamed = self._watch.thoughts
        unopened = streamed.unopened or thinks_unopened(answer.text)
        if unopened or not capped_short(answer):
            self._habits.thinks = unopened
        # The beginning of an unexpected thought was let through, by a model that had not thought.
        return (
            answer.model_copy(update={"content": streamed.answer}) if streamed.unopened else answer
        )

    def _fail(self, error: Exception, seconds: float, request: Request) -> None:
        """Raise the fault of a call, or return if the server must be asked plainly at once."""
        named = self._question.named
        self._watch.close()
        if timed_out(error) and self._budget.left(self._question.role) <= 0:
            found: ModelError | None = late(named, seconds, begun=self._heard)
        else:
            found = fault(error, named, begun=self._watch.begun)
        if found is None:
            raise error
        if found.kind in ("configuration", "server") and speaks_openai(named):
            guess = self._habits.guessing and not self._budget.spent(self._question.role)
            if self._plainer.refused(error, request, self._habits.suspected, guess=guess):
                return
            if self._plainer.futile:
                self._habits.give_up()
        found.shown = self._heard
        if found is error:
            raise found
        raise found from error

    def _useless(self, answer: AIMessage) -> ModelError:
        role, named = self._question.role, self._question.named
        if capped_short(answer):
            return stopped(named, shown=self._heard)
        told = f"{describe(named)} gave an answer that the {role} cannot use; ask for another one"
        return ModelError(told, "nonsense", shown=self._heard)


async def _reached(future: Future[None], seconds: float) -> None:
    """Wait up to `seconds` for a future shared by threads and event loops."""
    if not future.done():
        await asyncio.wait([asyncio.wrap_future(future)], timeout=seconds)


def _cut_late(text: str) -> bool:
    """Return whether an answer was cut in its course, and not in a tail of no use."""
    if goes_in_circles(text):
        return False
    useful = max(len(whole_sentences(text)), text.rfind("}") + 1)
    return 2 * useful >= len(text) > 0


def _limits(model: BaseChatModel, seconds: float) -> dict[str, Any]:
    """Return the client's own timeout: a call that was given up here ends there too."""
    own = getattr(model, "request_timeout", None)
    if not speaks_openai(model) or not isinstance(own, int | float | None):
        return {}
    return {"timeout": seconds if own is None else min(own, seconds)}
