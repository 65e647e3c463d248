"""Every fault of a chat model is one sentence that names the model and a remedy, never a key."""

from __future__ import annotations

import httpx
import httpx2
import openai
import pytest
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelInvalidRequestError,
    OutputParserException,
)
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage
from langchain_core.runnables import Runnable
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from langgraph_cooper.nodes import ModelError
from langgraph_cooper.nodes.llm.call import Question, ask
from tests.support.scripted import ScriptedModel

pytestmark = pytest.mark.usefixtures("quick_retries")
ASPECTS = ("exploration", "comforting", "action")
KEY = "sk-very-secret-0123456789"
PROMPT = [SystemMessage("Write your next utterance. Go.")]
REQUEST = httpx.Request("POST", "http://127.0.0.1/v1/chat/completions")


def asked(model: ScriptedModel) -> Runnable[list[BaseMessage], AIMessage]:
    named = ChatOpenAI(model="scripted", api_key=SecretStr(KEY), base_url="http://127.0.0.1/v1")
    return ask(Question("generator", ASPECTS, model, named, list, lambda _, answer: answer))


def status(kind: type[openai.APIStatusError], code: int) -> openai.APIStatusError:
    body = {"error": {"message": f"Incorrect API key provided: {KEY}"}}
    response = httpx.Response(code, request=REQUEST, headers={"authorization": KEY})
    return kind(f"Error code: {code} - {body}", response=response, body=body)


FAULTS = [
    (status(openai.AuthenticationError, 401), "refuses the key; check its api_key"),
    (status(openai.PermissionDeniedError, 403), "refuses the key; check its api_key"),
    (status(openai.NotFoundError, 404), "is not there; check the model's name and its base_url"),
    (status(openai.RateLimitError, 429), r"no more requests now \(status 429\); wait"),
    (status(openai.BadRequestError, 400), "answers with status 400; see the server's log"),
    (status(openai.UnprocessableEntityError, 422), "answers with status 422"),
    (status(openai.InternalServerError, 503), "answers with status 503; see the server's log"),
    (openai.APITimeoutError(REQUEST), "did not answer in time; try again"),
    (openai.APIConnectionError(request=REQUEST), "cannot be reached; start the server or check"),
    (openai.APIError(KEY, REQUEST, body=None), "broke off its answer; see the server's log"),
    (openai.ContentFilterFinishReasonError(), "refused to answer; say it in other words"),
    (httpx.RemoteProtocolError(KEY), "broke off its answer; ask for another one"),
    (httpx.ReadError(KEY), "broke off its answer"),
    (httpx2.RemoteProtocolError(KEY), "broke off its answer; ask for another one"),
    (TimeoutError(KEY), "did not answer in time; try again"),
    (
        AttributeError(KEY),
        "does not answer as an OpenAI-compatible endpoint does; check its base_url, which usually",
    ),
    (UnicodeEncodeError("ascii", KEY, 0, 1, ""), "its key or a header, which has a letter"),
    (IndexError(KEY), "does not answer as an OpenAI-compatible endpoint does"),
    (KeyError(KEY), "does not answer as an OpenAI-compatible endpoint does"),
    (TypeError(KEY), "does not answer as an OpenAI-compatible endpoint does"),
    (ModelInvalidRequestError(KEY), "rejects the request as invalid; check the model's settings"),
    (ContextOverflowError(KEY), "too small a context for the prompt; lower prompt_tokens"),
    (OutputParserException(KEY), "does not answer as an OpenAI-compatible endpoint does"),
]


@pytest.mark.parametrize(("error", "told"), FAULTS, ids=lambda x: type(x).__name__)
async def test_a_fault_is_one_sentence(error: Exception, told: str) -> None:
    model = ScriptedModel(script={"generator": error})
    asking = asked(model)
    with pytest.raises(ModelError, match=told) as caught:
        asking.invoke(PROMPT)
    with pytest.raises(ModelError, match=told) as caught_async:
        await asking.ainvoke(PROMPT)
    message = str(caught.value)
    assert message == str(caught_async.value)
    assert message.startswith("the model 'scripted' ")
    assert KEY not in message
    assert "\n" not in message
    assert caught.value.__cause__ is error


async def test_other_errors_are_nobodys_fault_here() -> None:
    model = ScriptedModel(script={"generator": MemoryError("full")})
    with pytest.raises(MemoryError):
        asked(model).invoke(PROMPT)
    with pytest.raises(MemoryError):
        await asked(model).ainvoke(PROMPT)


async def test_an_answer_is_given_on() -> None:
    model = ScriptedModel(script={"generator": "Hello."})
    asking = ask(Question("generator", ASPECTS, model, model, list, lambda _, answer: answer))
    assert asking.invoke(PROMPT).text == "Hello."
    assert (await asking.ainvoke(PROMPT)).text == "Hello."


def test_a_callers_own_model_keeps_its_own_words() -> None:
    model = ScriptedModel(script={"generator": ValueError("your credit is too low")})
    asking = ask(Question("generator", ASPECTS, model, model, list, lambda _, answer: answer))
    with pytest.raises(ValueError, match="your credit is too low"):
        asking.invoke(PROMPT)
