"""Asking a chat model, with every fault told in one sentence that names the model and a remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from langgraph_cooper.nodes.errors import FaultKind, ModelError
from langgraph_cooper.nodes.history import clean
from langgraph_cooper.nodes.llm.models import describe, speaks_openai

# langchain-openai meets an answer that is no chat completion (a web page with status 200, an
# empty list of choices) with one of these.
NOT_A_COMPLETION = (AttributeError, IndexError, KeyError, TypeError, ValueError)


# Long runs of letters and digits: a server may quote the key in its complaint.
SECRET = re.compile(r"\S{20,}")
Given = TypeVar("Given")
Result = TypeVar("Result")


def ask(
    model: Runnable[LanguageModelInput, AIMessage],
    named: BaseChatModel,
    prompt: Callable[[Given], list[BaseMessage]],
    read: Callable[[Given, AIMessage], Result],
) -> Runnable[Given, Result]:
    """Builds the step that puts something to a model and reads its answer, sync and async.

    It is one Runnable rather than a chain of three: three agents run at once, and what a chain
    spends on its links they spend one after another.

    Args:
        model: The model, perhaps with settings bound to it. A fault of it becomes `ModelError`.
        named: The bare model, for its name.
        prompt: From what is given to the messages.
        read: From what is given and the answer to the result.
    """

    def call(given: Given, config: RunnableConfig) -> Result:
        messages = prompt(given)
        with _told(named):
            answer = model.invoke(messages, config)
        return read(given, answer)

    async def acall(given: Given, config: RunnableConfig) -> Result:
        messages = prompt(given)
        with _told(named):
            answer = await model.ainvoke(messages, config)
        return read(given, answer)

    return RunnableLambda(call, afunc=acall, name="ask")


@contextmanager
def _told(model: BaseChatModel) -> Iterator[None]:
    try:
        yield
    except NOT_A_COMPLETION as error:
        if not speaks_openai(model):  # the caller's own model; its words say more than ours
            raise
        raise ModelError(
            f"{describe(model)} does not answer as an OpenAI-compatible endpoint does "
            f"({type(error).__name__}); check OPENAI_BASE_URL, which usually ends in /v1",
            "nonsense",
        ) from error
    except Exception as error:
        if (found := _reason(error)) is None:
            raise
        kind, reason = found
        raise ModelError(f"{describe(model)} {reason}", kind) from error


def refuses_request(error: ModelError) -> bool:
    """Whether the endpoint called the request itself wrong (status 400 or 422)."""
    import openai

    return isinstance(error.__cause__, openai.BadRequestError | openai.UnprocessableEntityError)


def _own_words(error: Exception) -> str:
    """What the server says of it, in brief; nothing that could be a key."""
    body = getattr(error, "body", None)
    said = body.get("message") if isinstance(body, dict) else None
    if not isinstance(said, str) or not clean(said):
        return "; see the server's log"
    return ": " + SECRET.sub("…", clean(said))[:200]


def _reason(error: Exception) -> tuple[FaultKind, str] | None:
    """What happened and what to do, for the faults of an OpenAI client; None for any other."""
    import httpx
    import openai

    found: tuple[FaultKind, str] | None = None
    match error:
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            found = "configuration", "refuses the key; check OPENAI_API_KEY"
        case openai.NotFoundError():
            found = "configuration", "is not there; check the model's name and OPENAI_BASE_URL"
        case openai.RateLimitError():
            found = (
                "rate_limit",
                "allows no more requests now (status 429); wait, or check the account's limits",
            )
        case openai.APITimeoutError():
            found = "timeout", "did not answer in time; try again, or choose a faster model"
        case httpx.HTTPError() | TimeoutError():  # raised bare in the middle of a stream
            found = "cut", "broke off its answer; send the message again"
        case openai.APIConnectionError():
            found = "connection", "cannot be reached; start the server or check OPENAI_BASE_URL"
        case openai.InternalServerError():
            found = "server", f"answers with status {error.status_code}{_own_words(error)}"
        case openai.APIStatusError():
            found = "configuration", f"answers with status {error.status_code}{_own_words(error)}"
        case openai.OpenAIError():
            found = "server", f"failed ({type(error).__name__}); see the server's log"
    return found
