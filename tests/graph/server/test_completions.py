"""OpenAI's chat completions on threads: with the openai package, LangChain, Open WebUI's bodies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from langchain_openai import ChatOpenAI

from langgraph_cooper.graph import ModelError
from tests.support.scripted import ScriptedModel
from tests.support.serving import Client

Messages = list[dict[str, Any]]


class Replies:
    """A generator's replies, each another one."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self, _: Any) -> str:
        self.number += 1
        return f"I hear you, and this is my reply number {self.number}."


@pytest.fixture(autouse=True)
def _replies(model: ScriptedModel) -> Iterator[None]:
    model.script = {"generator": Replies()}
    yield
    model.script = {}


@pytest.fixture
def api(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


def said(*texts: str) -> Messages:
    """Return a conversation whose sides take turns."""
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]


def complete(api: openai.OpenAI, messages: Messages, **more: Any) -> str:
    given: Any = {"model": "esc", "messages": messages, **more}
    return str(api.chat.completions.create(**given).choices[0].message.content)


class Threads:
    """The server's threads, the newest first."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._before = {thread["id"] for thread in self._all()}

    def _all(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._client.http.get(
            "/threads", params={"limit": 100}
        ).json()["threads"]
        return sorted(found, key=lambda thread: -thread["created"])

    def new(self) -> list[str]:
        """Return the threads that were made since the beginning."""
        return [thread["id"] for thread in self._all() if thread["id"] not in self._before]

    def texts(self, thread: str) -> list[str]:
        """Return the conversation of a thread."""
        messages = self._client.http.get(f"/threads/{thread}").json()["messages"]
        return [message["text"] for message in messages]


@pytest.fixture
def threads(client: Client) -> Threads:
    return Threads(client)


def test_models_are_tasks(api: openai.OpenAI) -> None:
    assert [model.id for model in api.models.list()] == ["esc", "persuasion"]
    assert api.models.retrieve("esc").owned_by == "langgraph-cooper"
    with pytest.raises(openai.NotFoundError):
        api.models.retrieve("gpt-4o")
    with pytest.raises(openai.NotFoundError):
        complete(api, said("Hello."), model="gpt-4o")


def test_a_transcript_goes_on_in_its_thread(api: openai.OpenAI, threads: Threads) -> None:
    first = complete(api, said("I lost my job."))
    history = said("I lost my job.", first, "It was last week.")
    # Front ends add a system prompt, and change spaces.
    history = [{"role": "system", "content": "You are a pirate."}, *history]
    history[2]["content"] = f"{first} \n"
    given: Any = {"model": "esc", "messages": history, "stream": True}
    given["stream_options"] = {"include_usage": True}
    chunks = list(api.chat.completions.create(**given))
    second = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    (thread,) = threads.new()
    assert threads.texts(thread) == ["I lost my job.", first, "It was last week.", second]


def test_the_same_history_again_is_a_fork(api: openai.OpenAI, threads: Threads) -> None:
    first = complete(api, said("I lost my job."))
    second = complete(api, said("I lost my job.", first, "It was last week."))
    other = complete(api, said("I lost my job.", first, "It was last week."))
    assert other != second
    fork, thread = threads.new()
    assert threads.texts(thread)[-1] == second
    assert threads.texts(fork) == ["I lost my job.", first, "It was last week.", other]
    # Each branch goes on in its own thread.
    third = complete(api, said("I lost my job.", first, "It was last week.", second, "And now?"))
    assert threads.texts(thread)[-1] == third
    assert len(threads.new()) == 2


def test_a_lone_first_message_always_begins_a_thread(api: openai.OpenAI, threads: Threads) -> None:
    replies = [complete(api, said("Good evening to you.")) for _ in range(2)]
    assert [threads.texts(thread)[1] for thread in threads.new()] == replies[::-1]


def test_an_unknown_history_is_imported(api: openai.OpenAI, threads: Threads) -> None:
    held = ["My cat ran away.", "That hurts.", "I miss her."]
    reply = complete(api, said(*held))
    (thread,) = threads.new()
    assert threads.texts(thread) == [*held, reply]
    complete(api, said(*held, reply, "What now?"))
    assert threads.new() == [thread]


def test_a_chat_id_names_the_thread_and_a_message_id_the_message(
    api: openai.OpenAI, threads: Threads
) -> None:
    def send(text: str, message: str, chat: str = "chat-1", user: str = "anna") -> str:
        names = {"chat_id": chat, "message_id": message}
        return complete(api, said(text), metadata=names, user=user)

    first = send("I lost my job.", "m-1")
    assert send("I lost my job.", "m-1") == first  # sent again after a lost connection
    second = send("It was last week.", "m-2")
    (thread,) = threads.new()
    assert threads.texts(thread) == ["I lost my job.", first, "It was last week.", second]
    # Another person's chat of that name is another one.
    send("I lost my job.", "m-1", user="berta")
    assert len(threads.new()) == 2


@pytest.fixture
def webui(url: str) -> Iterator[httpx.Client]:
    """Sends what Open WebUI sends, with its headers for chats, messages, users and jobs."""
    headers = {
        "Authorization": "Bearer none",
        "X-OpenWebUI-User-Name": "Anna",
        "X-OpenWebUI-User-Id": "7a1f",
        "X-OpenWebUI-User-Role": "user",
        "X-OpenWebUI-Chat-Id": "a8c7e0f2-7d3f-4d1e-9d0c-6f3f1f5a2b11",
        "X-OpenWebUI-Task": "",
    }
    with httpx.Client(base_url=f"{url}/v1", headers=headers, timeout=30) as client:
        yield client


def send(webui: httpx.Client, message: str, *texts: str, **headers: str) -> str:
    body = {
        "model": "esc", "messages": said(*texts), "stream": False, "temperature": 0.8,
        "max_tokens": 500, "seed": 1, "top_p": 0.9,
    }  # fmt: skip
    sent = {"X-OpenWebUI-Message-Id": message, **headers}
    answer = webui.post("/chat/completions", json=body, headers=sent)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


def test_open_webuis_chat_is_regenerated_and_edited(webui: httpx.Client, threads: Threads) -> None:
    first = send(webui, "m-1", "I lost my job.")
    second = send(webui, "m-2", "I lost my job.", first, "It was last week.")
    assert len(threads.new()) == 1
    other = send(webui, "m-3", "I lost my job.", first, "It was last week.")  # regenerated
    third = send(webui, "m-4", "I lost my job.", first, "It was last week.", other, "And now?")
    fork, _ = threads.new()
    assert threads.texts(fork) == [
        "I lost my job.", first, "It was last week.", other, "And now?", third
    ]  # fmt: skip
    edited = send(webui, "m-5", "I lost my cat.")  # the first message, edited
    assert threads.texts(threads.new()[0]) == ["I lost my cat.", edited]
    assert send(webui, "m-2", "I lost my job.", first, "It was last week.") == second


def test_jobs_of_front_ends_are_no_turns(
    webui: httpx.Client, threads: Threads, model: ScriptedModel
) -> None:
    calls = len(model.calls)
    prompt = '### Task:\nGenerate a concise title.\n### Output:\nJSON format: { "title": "..." }'
    assert send(webui, "m-1", prompt) == "{}"
    assert send(webui, "m-1", "Suggest tags.", **{"X-OpenWebUI-Task": "tags_generation"}) == "{}"
    body = {"model": "esc", "messages": said(prompt), "stream": True}
    streamed = webui.post("/chat/completions", json=body).text
    assert streamed.rstrip().endswith("[DONE]")
    assert threads.new() == []
    assert len(model.calls) == calls
    unfilled = {"X-OpenWebUI-Task": "{{TASK}}", "X-OpenWebUI-Chat-Id": "{{CHAT_ID}}"}
    assert send(webui, "{{MESSAGE_ID}}", "I lost my job.", **unfilled) != "{}"
    assert len(threads.new()) == 1


async def test_langchain_talks_through_it(url: str, threads: Threads) -> None:
    given: Any = {"base_url": f"{url}/v1", "api_key": "none", "max_retries": 0}
    # LangChain's own would stay open after this test's event loop.
    async with openai.DefaultAsyncHttpxClient() as connections:
        llm = ChatOpenAI(model="esc", http_async_client=connections, **given)
        reply = await llm.ainvoke([("system", "Be brief."), ("human", "I lost my job.")])
        history = [("human", "I lost my job."), ("ai", reply.text), ("human", "What now?")]
        pieces = [chunk.text async for chunk in llm.astream(history)]
    (thread,) = threads.new()
    assert threads.texts(thread) == ["I lost my job.", reply.text, "What now?", "".join(pieces)]
    assert len([piece for piece in pieces if piece]) > 1


@pytest.mark.parametrize(
    "wanted",
    [
        {"n": 2},
        {"n": 0},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
        {"functions": [{"name": "f", "parameters": {}}]},
        {"response_format": {"type": "json_object"}},
        {"messages": said("Hello.", "Hi.")},
        {"messages": [{"role": "tool", "content": "1", "tool_call_id": "x"}]},
    ],
    ids=lambda wanted: next(iter(wanted)),
)
def test_what_cannot_be_had_is_a_400(api: openai.OpenAI, wanted: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError) as found:
        complete(api, **{"messages": said("Hello."), **wanted})
    assert found.value.code in ("unsupported", "invalid_request_error")
    assert "greater" not in found.value.message


def test_a_content_of_another_type_is_named_in_a_sentence(url: str) -> None:
    body = {"model": "esc", "messages": [{"role": "user", "content": 5}]}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["message"] == (
        "the request cannot be used (messages.0.content: give a text, or give an array)"
    )


@pytest.mark.parametrize("task", [False, 0, None, "", "none"])
def test_metadata_without_a_task_is_no_job(url: str, task: Any) -> None:
    body = {"model": "esc", "messages": said("I lost my job."), "metadata": {"task": task}}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body).json()
    assert answer["choices"][0]["message"]["content"] != "{}"


def test_a_failed_model_is_an_error_in_a_stream_too(
    api: openai.OpenAI, model: ScriptedModel
) -> None:
    model.script = {"generator": ModelError("the key is refused")}
    with pytest.raises(openai.InternalServerError, match="refused"):
        complete(api, said("I lost my job."))
    given: Any = {"model": "esc", "messages": said("I lost my job."), "stream": True}
    with pytest.raises(openai.APIError, match="refused"):
        list(api.chat.completions.create(**given))
