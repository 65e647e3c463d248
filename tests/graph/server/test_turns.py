"""Threads and turns over HTTP."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from langgraph_cooper.graph.server.records import Records
from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.nodes.events import EVENT
from tests.support.scripted import ScriptedModel
from tests.support.serving import Client, events

SAID = "I lost my job."
JSON = {"Accept": "application/json"}


def told(stream: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in stream]


def test_a_turn_is_a_stream_of_numbered_events_that_can_be_read_again(client: Client) -> None:
    thread = client.thread()
    path = f"/threads/{thread}/turns"
    stream = client.stream("POST", path, {"message": SAID, "message_id": "m-1"})
    assert [event["number"] for event in stream] == list(range(1, len(stream) + 1))
    kinds = told(stream)
    assert (kinds[0], kinds[-2:]) == ("turn_started", ["reply", "done"])
    assert {"agent", "ranking", "token"} <= set(kinds)
    for event in stream:
        EVENT.validate_python({k: v for k, v in event.items() if k != "number"})

    turn = stream[0]["turn"]
    log = f"{path}/{turn}/events"
    assert client.stream("GET", log) == stream
    assert client.stream("GET", log, **{"Last-Event-ID": "5"}) == stream[5:]
    # An EventSource that has seen everything is told not to come back.
    seen = {"Last-Event-ID": str(len(stream))}
    assert client.http.get(log, headers=seen).status_code == 204
    assert client.http.get(log, headers={"Last-Event-ID": "x"}).status_code == 422


def test_a_message_sent_again_is_answered_once(client: Client) -> None:
    thread = client.thread()
    first = client.say(thread, SAID, "m-1")
    assert (first["http"], first["status"], first["repeated"]) == (200, "completed", False)
    again = client.say(thread, SAID, "m-1")
    assert again == {**first, "repeated": True}
    stream = client.stream(
        "POST", f"/threads/{thread}/turns", {"message": SAID, "message_id": "m-1"}
    )
    assert all(event["again"] for event in stream)
    other = client.say(thread, "Something else.", "m-1")
    assert other["http"] == 409
    assert "stands for another message" in other["error"]["message"]
    state = client.http.get(f"/threads/{thread}").json()
    assert [m["role"] for m in state["messages"]] == ["user", "assistant"]


def test_a_thread_shows_its_conversation_and_state(client: Client) -> None:
    thread = client.thread("persuasion")
    client.say(thread, "Hello there.", "m-1")
    state = client.http.get(f"/threads/{thread}").json()
    assert state["task"] == "persuasion"
    assert state["messages"][0]["text"] == "Hello there."
    assert {m["turn"] for m in state["messages"]} == {state["turns"][0]["id"]}
    assert set(state["aspects"]) == {"attention", "appeal", "proposition"}
    assert state["ranking"][0]["rank"] == 1
    assert state["unfinished"] is False
    assert state["turns"][0]["status"] == "completed"
    listed = client.http.get("/threads", params={"limit": 1}).json()["threads"]
    assert [t["id"] for t in listed] == [thread]


def test_a_turn_goes_on_without_its_client(client: Client, slow: ScriptedModel) -> None:
    thread = client.thread()
    body = {"message": SAID, "message_id": "m-1"}
    with client.http.stream("POST", f"/threads/{thread}/turns", json=body) as answer:
        turn = next(events(answer))["turn"]
    log = client.stream("GET", f"/threads/{thread}/turns/{turn}/events")
    assert told(log)[-2:] == ["reply", "done"]
    assert client.say(thread, SAID, "m-1")["repeated"]


def test_a_turn_is_stopped_and_finished_later(client: Client, slow: ScriptedModel) -> None:
    thread = client.thread()
    body = {"message": SAID, "message_id": "m-1"}
    with client.http.stream("POST", f"/threads/{thread}/turns", json=body) as answer:
        stream = events(answer)
        turn = next(stream)["turn"]
        stopped = client.http.post(f"/threads/{thread}/turns/{turn}/stop")
        assert (stopped.status_code, stopped.json()["stopped"]) == (202, True)
        assert [*stream][-1]["status"] == "stopped"
    stopped = client.http.post(f"/threads/{thread}/turns/{turn}/stop")
    assert (stopped.status_code, stopped.json()["stopped"]) == (202, False)
    state = client.http.get(f"/threads/{thread}").json()
    assert (state["unfinished"], state["turns"][0]["status"]) == (True, "stopped")
    slow.delays = {}
    rest = client.stream("POST", f"/threads/{thread}/turns", body)
    assert rest[0]["number"] > 1  # after those of the first attempt
    assert all(event["again"] for event in rest)
    assert rest[-1]["status"] == "completed"


def test_a_busy_thread_is_a_409_and_a_stopped_turn_as_json_has_no_reply(
    client: Client, slow: ScriptedModel
) -> None:
    thread = client.thread()
    found: list[dict[str, Any]] = []
    waiting = threading.Thread(target=lambda: found.append(client.say(thread, SAID, "m-1")))
    waiting.start()
    while not (turns := client.http.get(f"/threads/{thread}").json()["turns"]):
        time.sleep(0.02)
    busy = client.say(thread, "And my wife left.", "m-2")
    assert (busy["http"], busy["error"]["type"]) == (409, "thread_busy")
    client.http.post(f"/threads/{thread}/turns/{turns[0]['id']}/stop")
    waiting.join()
    assert (found[0]["status"], found[0]["reply"]) == ("stopped", None)


def test_a_stopped_message_sent_again_while_another_turn_runs_is_a_409(
    client: Client, slow: ScriptedModel
) -> None:
    thread = client.thread()
    path, first = f"/threads/{thread}/turns", {"message": SAID, "message_id": "m-1"}
    with client.http.stream("POST", path, json=first) as answer:
        stream = events(answer)
        client.http.post(f"{path}/{next(stream)['turn']}/stop")
        assert [*stream][-1]["status"] == "stopped"
    second = {"message": "And my wife left.", "message_id": "m-2"}
    with client.http.stream("POST", path, json=second) as answer:
        stream = events(answer)
        next(stream)
        busy = client.say(thread, SAID, "m-1")
        assert [*stream][-1]["status"] == "completed"
    assert (busy["http"], busy["error"]["type"]) == (409, "thread_busy")
    assert client.say(thread, SAID, "m-1")["status"] == "completed"


def test_a_stop_that_comes_too_late_leaves_the_next_turn_alone(
    client: Client, slow: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, writing, released = Records.log, threading.Event(), threading.Event()

    async def held(self: Records, thread: str, turn: str, logged: Any, ended: Any = None) -> None:
        if ended and not writing.is_set():  # the first turn's end
            writing.set()
            await asyncio.to_thread(released.wait, 20)
        await log(self, thread, turn, logged, ended)

    monkeypatch.setattr(Records, "log", held)
    thread = client.thread()
    path = f"/threads/{thread}/turns"
    with client.http.stream("POST", path, json={"message": SAID}) as first:
        turn = next(events(first))["turn"]
        assert writing.wait(20)
        with client.http.stream("POST", path, json={"message": "And my wife left."}) as second:
            stream = events(second)
            next(stream)
            assert client.http.post(f"{path}/{turn}/stop").json()["stopped"] is False
            assert [*stream][-1]["status"] == "completed"
        released.set()


def test_nothing_new_repeats_or_is_refused(client: Client) -> None:
    thread = client.thread()
    opened = client.say(thread, None)
    assert opened["http"] == 422  # the user speaks first
    first = client.say(thread, SAID)
    assert client.say(thread, None)["reply"] == first["reply"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "message: it is missing; give the user's words, or null to say nothing new"),
        ({"message_id": "m-1"}, "message: it is missing; give the user's words, or null to say "),
        ({"message": ""}, "message: it is empty; write something to answer"),
        ({"message": 5}, "message: give a text"),
        ({"message": SAID, "message_id": "a b"}, "message_id: give 1 to 200 visible ASCII chara"),
        ({"message": SAID, "tone": "kind"}, "tone: this field is unknown; leave it out"),
    ],
)
def test_a_body_that_cannot_be_used_is_told_in_plain_words(
    client: Client, body: dict[str, Any], told: str
) -> None:
    thread = client.thread()
    client.say(thread, SAID)
    answer = client.http.post(f"/threads/{thread}/turns", json=body)
    assert answer.status_code == 422  # and not the last reply again
    assert f"the request cannot be used ({told}" in answer.json()["error"]["message"]


def test_a_body_whose_type_is_not_told_is_told_the_header(client: Client) -> None:
    path, body = f"/threads/{client.thread()}/turns", b'{"message": "I lost my job."}'
    for headers, found in (({}, "missing"), ({"Content-Type": "text/plain"}, "text/plain")):
        answer = client.http.post(path, content=body, headers=headers)
        assert answer.status_code == 422
        told = f"(body: its Content-Type is {found}; send the header Content-Type: application/json"
        assert told in answer.json()["error"]["message"]
    answer = client.http.post(path, json=["I lost my job."])
    assert "(body: give an object)" in answer.json()["error"]["message"]


def test_openapi_says_that_a_message_is_required_and_may_be_null(client: Client) -> None:
    turn = client.http.get("/openapi.json").json()["components"]["schemas"]["NewTurn"]
    assert turn["required"] == ["message"]
    assert {"type": "null"} in turn["properties"]["message"]["anyOf"]


def test_forks_go_on_alone(client: Client) -> None:
    thread = client.thread()
    client.say(thread, SAID, "m-1")
    client.say(thread, "It was last week.", "m-2")
    before = client.http.get(f"/threads/{thread}").json()
    fork = client.http.post(f"/threads/{thread}/fork", json={"turn": before["turns"][0]["id"]})
    assert fork.status_code == 201
    assert fork.json()["parent"] == thread
    child = fork.json()["id"]
    said = [m["text"] for m in client.http.get(f"/threads/{child}").json()["messages"]]
    assert said == [m["text"] for m in before["messages"][:2]]
    client.say(child, "My wife knows.", "m-3")
    assert client.http.get(f"/threads/{thread}").json() == before
    missing = client.http.post(f"/threads/{thread}/fork", json={"checkpoint": "1ef0-aa"})
    assert missing.status_code == 404


def test_a_fork_with_an_edited_topic_gets_a_new_reply(client: Client, model: ScriptedModel) -> None:
    thread = client.thread()
    for number in range(4):  # a language model is given no topics at the beginning
        client.say(thread, f"{SAID} That was {number} weeks ago.")
    body = {"topic": {"topic": "Ask about the sea.", "strategy": "Question"}}
    child = client.http.post(f"/threads/{thread}/fork", json=body).json()["id"]
    assert client.http.get(f"/threads/{child}").json()["unfinished"] is True
    calls = len(model.calls)
    answered = client.say(child, None)
    assert answered["status"] == "completed"
    (call,) = model.calls[calls:]  # no agent is asked again
    assert "Ask about the sea." in "\n".join(message.text for message in call.messages)


def test_a_topic_may_be_a_text_alone(client: Client, model: ScriptedModel) -> None:
    thread = client.thread()
    for number in range(4):
        client.say(thread, f"{SAID} That was {number} weeks ago.")
    answer = client.http.post(f"/threads/{thread}/fork", json={"topic": "Ask about the sea."})
    assert answer.status_code == 201
    client.say(answer.json()["id"], None)
    assert "Ask about the sea." in "\n".join(m.text for m in model.calls[-1].messages)
    refused = client.http.post(f"/threads/{thread}/fork", json={"topic": 5})
    told = "(topic: give its words, or an object with topic and, if you like, strategy and aspect)"
    assert told in refused.json()["error"]["message"]
    schemas = client.http.get("/openapi.json").json()["components"]["schemas"]
    assert {"object", "string"} == {one["type"] for one in schemas["Topic"]["anyOf"]}


def test_a_fork_can_be_forked_before_the_place_where_it_was_made(client: Client) -> None:
    thread = client.thread()
    for text in (SAID, "It was last week.", "My wife knows."):
        client.say(thread, text)
    first, second, third = [t["id"] for t in client.http.get(f"/threads/{thread}").json()["turns"]]
    copy = client.http.post(f"/threads/{thread}/fork", json={"turn": second}).json()["id"]
    client.say(copy, "I sleep badly.")
    copy = client.http.post(f"/threads/{copy}/fork", json={}).json()["id"]
    body = {"turn": first, "topic": {"topic": "The sea."}}
    older = client.http.post(f"/threads/{copy}/fork", json=body)
    assert (older.status_code, older.json()["parent"]) == (201, copy)
    state = client.http.get(f"/threads/{older.json()['id']}").json()
    assert [m["text"] for m in state["messages"]] == [SAID]
    assert state["ranking"][0]["topic"] == "The sea."
    # A turn that followed in the first thread is none of the copy's.
    assert client.http.post(f"/threads/{copy}/fork", json={"turn": third}).status_code == 404


def test_a_topic_needs_a_ranking_and_hides_nothing(client: Client) -> None:
    thread = client.thread()
    path = f"/threads/{thread}/fork"
    empty = client.http.post(path, json={"topic": {"topic": "The sea."}})
    assert (empty.status_code, empty.json()["error"]["type"]) == (409, "no_ranking")
    assert client.http.get("/threads").json()["threads"][0]["id"] == thread  # no copy is left
    client.say(thread, SAID, "m-1")
    hidden = client.http.post(path, json={"topic": {"topic": "\u202e\u200d"}})
    assert (hidden.status_code, hidden.json()["error"]["type"]) == (409, "no_topic")
    turned = client.http.post(path, json={"topic": {"topic": "The \u202esea."}})
    state = client.http.get(f"/threads/{turned.json()['id']}").json()
    assert state["ranking"][0]["topic"] == "The sea."


def test_no_topic_takes_the_place_of_the_guards_words(client: Client) -> None:
    thread = client.thread()
    client.say(thread, SAID, "m-1")
    assert client.say(thread, "I want to kill myself.", "m-2")["by"] == "guard"
    fork = client.http.post(f"/threads/{thread}/fork", json={"topic": {"topic": "The sea."}})
    assert (fork.status_code, fork.json()["error"]["type"]) == (409, "no_ranking")


def test_a_message_is_answered_again(client: Client, model: ScriptedModel) -> None:
    thread = client.thread()
    model.script = {"generator": ModelError("it broke off", "cut")}
    first = client.say(thread, SAID, "m-1")
    assert first["by"] == "stand_in"
    model.script = {"generator": "A new answer."}
    path = f"/threads/{thread}/turns"
    again = client.stream("POST", f"{path}/{first['turn']}/again")
    assert again[0]["number"] > 1  # after those of the first answer
    assert (told(again)[0], told(again)[-1]) == ("turn_started", "done")
    assert next(event["text"] for event in again if event["type"] == "reply") == "A new answer."
    # The message sent again has the new reply, and the old one nowhere.
    sent = client.stream("POST", path, {"message": SAID, "message_id": "m-1"})
    assert [event["text"] for event in sent if event["type"] == "reply"] == ["A new answer."]
    state = client.http.get(f"/threads/{thread}").json()
    assert [m["text"] for m in state["messages"]] == [SAID, "A new answer."]
    assert [turn["status"] for turn in state["turns"]] == ["completed"]

    copy = client.http.post(f"/threads/{thread}/fork", json={}).json()["id"]
    model.script = {"generator": "A third answer."}
    whole = client.http.post(f"/threads/{copy}/turns/{first['turn']}/again", headers=JSON)
    assert (whole.status_code, whole.json()["reply"]) == (200, "A third answer.")

    client.say(thread, "It was last week.", "m-2")
    late = client.http.post(f"{path}/{first['turn']}/again", headers=JSON)
    assert (late.status_code, late.json()["error"]["type"]) == (409, "not_the_last")
    missing = client.http.post(f"{path}/{'0' * 12}/again", headers=JSON)
    assert missing.status_code == 404
    model.script = {}


def test_a_thread_is_deleted_in_mid_turn(client: Client, slow: ScriptedModel) -> None:
    thread = client.thread()
    body = {"message": SAID, "message_id": "m-1"}
    with client.http.stream("POST", f"/threads/{thread}/turns", json=body) as answer:
        stream = events(answer)
        turn = next(stream)["turn"]
        assert client.http.delete(f"/threads/{thread}").status_code == 204
        assert [*stream][-1]["status"] == "stopped"
    for path in ("", f"/turns/{turn}/events"):
        assert client.http.get(f"/threads/{thread}{path}").status_code == 404
    assert thread not in client.http.get("/threads").text


def test_a_failed_model_is_a_502_that_names_no_endpoint_and_the_message_is_kept(
    client: Client, model: ScriptedModel, caplog: pytest.LogCaptureFixture
) -> None:
    thread = client.thread()
    secret = "the model 'x' at http://10.0.0.7/v1 refuses the key; check OPENAI_API_KEY"
    model.script = {"generator": ModelError(secret)}
    failed = client.say(thread, SAID, "m-1")
    assert (failed["http"], failed["error"]["type"]) == (502, "model_failed")
    assert failed["error"]["message"] == (
        "the language model refused the request: the operator of this server has to look at its log"
    )
    assert secret in caplog.text
    stream = client.stream("POST", f"/threads/{thread}/turns", {"message": SAID})
    assert stream[-1]["error"] == failed["error"]["message"]
    asked = {"model": "esc", "messages": [{"role": "user", "content": SAID}]}
    chat = client.http.post("/v1/chat/completions", json=asked)
    assert chat.json()["error"]["message"] == failed["error"]["message"]
    model.script = {}
    assert client.say(thread, SAID, "m-1")["status"] == "completed"


def test_a_fault_of_a_step_names_no_endpoint(
    client: Client, model: ScriptedModel, caplog: pytest.LogCaptureFixture
) -> None:
    thread = client.thread()
    model.script = {"tracker": ModelError("10.0.0.7 is not reached", "connection")}
    stream = client.stream("POST", f"/threads/{thread}/turns", {"message": SAID})
    model.script = {}
    faults = [event for event in stream if event["type"] == "fault"]
    assert {event["message"] for event in faults} == {"the language model cannot be reached"}
    assert stream[-1]["status"] == "completed"
    assert "10.0.0.7 is not reached" in caplog.text
    assert "10.0.0.7" not in str(stream) + client.http.get(f"/threads/{thread}").text


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/openapi.json"])
def test_operators_need_no_token(client: Client, path: str) -> None:
    until = time.monotonic() + 20
    while (found := client.http.get(path)).status_code == 503 and time.monotonic() < until:
        time.sleep(0.05)  # it warms up
    assert found.status_code == 200


def test_metrics_count_turns_and_name_nobody(client: Client) -> None:
    thread = client.thread()
    client.say(thread, SAID)
    text = client.http.get("/metrics").text
    assert 'cooper_turns_total{status="completed",task="esc"}' in text
    assert "cooper_first_words_seconds_bucket" in text
    assert thread not in text
