"""Turns every fault of a chat model into a `ModelError`: the model, the fault and a remedy."""

from __future__ import annotations

import re
import sys
from typing import NamedTuple

from langchain_core import exceptions as core
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage

from langgraph_cooper.nodes.errors import FaultKind, ModelError
from langgraph_cooper.nodes.language.history import clean
from langgraph_cooper.nodes.llm.models import address_of, describe, key_of, speaks_openai
from langgraph_cooper.nodes.llm.retry import retry_after

# langchain-openai raises one of these for an answer that is not a chat completion (a web page with
# status 200, an empty list of choices).
NOT_A_COMPLETION = (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError)
# Long runs of letters and digits: a server may quote the key in its complaint.
SECRET = re.compile(r"\S{20,}")
# Finish reasons of an answer that stops short, and of one that was withheld.
LENGTH = {"length", "max_tokens", "max_output_tokens"}
REPEATED = re.compile(r"^(.+?)\1+$")
WITHHELD = {"content_filter", "refusal", "safety"}


class _Reason(NamedTuple):
    kind: FaultKind
    told: str
    again: bool = False
    wait: float | None = None


# A fault ends a turn, or is told after one that was completed: each remedy is right in both places.
BROKEN_OFF = "broke off its answer; ask for another one"
STOPPED = "stopped before its answer was whole (finish_reason length); allow it more tokens"
REFUSED = "refused to answer; say it in other words, or choose another model"
NO_COMPLETION = (
    "does not answer as an OpenAI-compatible endpoint does; check {address}, which usually ends in "
    "/v1"
)
BAD_ADDRESS = "cannot be reached; start the server or check {address}"
NOT_THERE = "is not there; check the model's name and {address}"
REFUSED_KEY = "refuses the key; check {key}"
BAD_KEY = (
    "cannot be sent its key or a header, which has a letter that no header has; check the key and "
    "the headers"
)
NO_CREDIT = "insufficient_quota"  # the code of an account that has no credit left
NOT_IN_TIME = "did not answer in time; try again, or choose a faster model"

INVALID = "rejects the request as invalid; check the model's settings"
TOO_LONG = "has too small a context for the prompt; lower prompt_tokens"


def fault(error: Exception, model: BaseChatModel, *, begun: bool = False) -> ModelError | None:
    """Translate an exception of a chat model's client.

    Args:
        error: The exception.
        model: The model, for its name.
        begun: Whether some of the answer had come, which makes any fault but a refusal a "cut".

    Returns:
        None for an exception that no client raises: a caller's own model explains it best.
    """
    if isinstance(error, ModelError):
        return error
    reason = _reason(error, model)
    if reason is None:
        return None
    if begun and reason.kind not in ("cut", "refusal"):
        reason = _Reason("cut", BROKEN_OFF, again=speaks_openai(model))
    told = reason.told
    if told in (REFUSED_KEY, NOT_THERE, BAD_ADDRESS, NO_COMPLETION):
        told = told.format(key=key_of(model), address=address_of(model))
    return ModelError(
        f"{describe(model)} {told}", reason.kind, again=reason.again, wait=reason.wait
    )


def no_credit(error: Exception) -> bool:
    """Return whether a call failed because the account has no credit left."""
    return getattr(error.__cause__, "code", None) == NO_CREDIT


def timed_out(error: Exception) -> bool:
    """Return whether an exception is a timeout."""
    return isinstance(error, TimeoutError | core.ModelTimeoutError)


def late(model: BaseChatModel, seconds: float, *, begun: bool = False) -> ModelError:
    """Return the fault of an answer that did not come within the turn's time."""
    if begun:
        return ModelError(f"{describe(model)} {BROKEN_OFF}", "cut")
    return ModelError(
        f"{describe(model)} did not answer in time ({max(seconds, 0):.0f} s were left of the "
        "turn's deadline); try again, or choose a faster model",
        "timeout",
    )


def checked(answer: AIMessage, model: BaseChatModel) -> AIMessage:
    """Return the answer if the model ended it; its cap may have ended it too.

    Raises:
        ModelError: The answer was withheld, or breaks off. A stream of langchain-openai's without
            a finish reason broke off; other packages need not give one.
    """
    why = ended(answer)
    if answer.additional_kwargs.get("refusal") or why in WITHHELD or _declined(answer):
        raise ModelError(f"{describe(model)} {REFUSED}", "refusal")
    if why == "error" or (why is None and speaks_openai(model)):
        raise ModelError(f"{describe(model)} {BROKEN_OFF}", "cut", again=True)
    return answer


def capped_short(answer: AIMessage) -> bool:
    """Return whether a cap on its length cut the answer off."""
    return ended(answer) in LENGTH


def salvaged(error: Exception) -> AIMessage | None:
    """Return the answer in an error: openai's client raises one for JSON that its cap cut off."""
    import openai

    if not isinstance(error, openai.LengthFinishReasonError):
        return None
    text = error.completion.choices[0].message.content or ""
    return AIMessage(text, response_metadata={"finish_reason": "length"})


def stopped(model: BaseChatModel, *, shown: bool = False) -> ModelError:
    """Return the fault of an answer that was cut off before any of it could be used."""
    return ModelError(f"{describe(model)} {STOPPED}", "cut", shown=shown)


def ended(answer: AIMessage) -> str | None:
    """Return why an answer ended, in lower case."""
    about = answer.response_metadata
    incomplete = about.get("incomplete_details")  # the Responses API's word for it
    names = [incomplete.get("reason")] if isinstance(incomplete, dict) else []
    names += [about.get(key) for key in ("finish_reason", "stop_reason", "done_reason", "status")]
    named = next((str(name).lower() for name in names if name), None)
    # LangChain joins the reasons of two chunks.
    return named and REPEATED.sub(r"\1", named)


def _declined(answer: AIMessage) -> bool:
    """Return whether a content block is a refusal, as in the Responses API."""
    blocks = answer.content if isinstance(answer.content, list) else []
    return any(isinstance(block, dict) and block.get("type") == "refusal" for block in blocks)


def _own_words(error: Exception) -> str:
    """Return the beginning of the server's own message, without anything that may be a key."""
    body = getattr(error, "body", None)
    said = body.get("message") if isinstance(body, dict) else None
    if not isinstance(said, str) or not clean(said):
        return "; see the server's log"
    return ": " + SECRET.sub("…", clean(said))[:200]


def _reason(error: Exception, model: BaseChatModel) -> _Reason | None:
    if isinstance(error, NOT_A_COMPLETION):
        if not speaks_openai(model):
            return None
        if isinstance(error, UnicodeEncodeError) and error.encoding == "ascii":  # of a header
            return _Reason("configuration", BAD_KEY)
        return _Reason("nonsense", NO_COMPLETION)
    if found := _status(error) or _openai(error):
        return found
    found = _any_client(error)
    # Packages other than langchain-openai retry by themselves.
    return found._replace(again=found.again and speaks_openai(model)) if found else None


def _status(error: Exception) -> _Reason | None:
    """Describe an HTTP status."""
    import openai

    if not isinstance(error, openai.APIStatusError):
        return None
    wait = retry_after(error.response.headers)
    final = error.response.headers.get("x-should-retry") == "false"
    match error.status_code:
        case 400 if error.code in WITHHELD:  # how Azure withholds an answer
            return _Reason("refusal", REFUSED)
        case 401 | 403:
            return _Reason("configuration", REFUSED_KEY)
        case 404:
            return _Reason("configuration", NOT_THERE)
        case 429 if error.code == NO_CREDIT:
            # It does not pass with time as a rate limit does: somebody has to pay, or to wait long.
            told = "has no credit left for this key (status 429); check the account's limits"
            return _Reason("configuration", told)
        case 429:
            when = f"for {wait:.0f} s" if wait else "now"
            told = f"allows no more requests {when} (status 429)"
            remedy = "wait, or check the account's limits"
            return _Reason("rate_limit", f"{told}; {remedy}", not final, wait)
        case code:
            told = f"answers with status {code}{_own_words(error)}"
            if code == 408 or code >= 500:
                # 501: what it does not implement now it will not implement in a second.
                return _Reason("server", told, not final and code != 501, wait)
            return _Reason("configuration", told)


def _openai(error: Exception) -> _Reason | None:
    """Describe a fault that langchain-openai's client finds by itself."""
    import openai

    match error:
        case openai.ContentFilterFinishReasonError():
            return _Reason("refusal", REFUSED)
        case openai.APITimeoutError():
            return _Reason("timeout", NOT_IN_TIME, again=True)
        case openai.APIConnectionError():
            return _Reason("connection", BAD_ADDRESS, again=True)
        case openai.APIResponseValidationError():
            return _Reason("nonsense", NO_COMPLETION)
        case openai.APIError():  # an error event in a stream
            return _Reason("cut", f"broke off its answer{_own_words(error)}", again=True)
        case openai.OpenAIError():
            return _Reason("server", f"failed ({type(error).__name__}); see the server's log")
    return None


def _any_client(error: Exception) -> _Reason | None:
    """Describe a fault that LangChain or an HTTP client has a class for, of any provider."""
    kinds: list[tuple[type[Exception], _Reason]] = [
        (core.ModelAuthenticationError, _Reason("configuration", "refuses the key; check it")),
        (core.ModelPermissionDeniedError, _Reason("configuration", "refuses the key; check it")),
        (core.ModelNotFoundError, _Reason("configuration", "is not there; check its name")),
        (core.ModelInvalidRequestError, _Reason("configuration", INVALID)),
        (core.ContextOverflowError, _Reason("configuration", TOO_LONG)),
        (core.ModelRateLimitError, _Reason("rate_limit", "allows no more requests now; wait")),
        (core.ModelAPIError, _Reason("server", "failed; see the server's log")),
        (core.ModelConnectionError, _Reason("connection", "cannot be reached; start its server")),
        (core.ModelTimeoutError, _Reason("timeout", NOT_IN_TIME)),
        (TimeoutError, _Reason("timeout", NOT_IN_TIME, again=True)),
        *((bare, _Reason("cut", BROKEN_OFF, again=True)) for bare in _http_errors()),
        (ConnectionError, _Reason("cut", BROKEN_OFF, again=True)),
    ]
    return next((reason for kind, reason in kinds if isinstance(error, kind)), None)


def _http_errors() -> list[type[Exception]]:
    """Return the base errors of the HTTP clients that are loaded: one may come bare, mid-stream.

    openai 3 uses httpx2, whose errors are not those of httpx.
    """
    loaded = [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]
    return [client.HTTPError for client in loaded]
