"""AG-UI over the loopback, read with the protocol's own types: examples/agui.py is the server."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import httpx
import pytest
import uvicorn
from ag_ui.core import AssistantMessage, Event, EventType, RunAgentInput, UserMessage
from ag_ui_langgraph import LangGraphAgent
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import SecretStr, TypeAdapter

from langgraph_cooper.graph import InputError, Turns, create_cooper
from langgraph_cooper.graph.agui import ACTIVITY, agent
from langgraph_cooper.graph.server.owners import Tokens
from tests.support.openai_server import OpenAIServer, Reply, Request, obey
from tests.support.rankers import FakeRanker
from tests.support.scripted import ScriptedModel
from tests.support.turns import only

EXAMPLES = Path(__file__).parents[2] / "examples"
EXAMPLE, CLIENTS = EXAMPLES / "agui.py", EXAMPLES / "clients"
EVENT: TypeAdapter[Any] = TypeAdapter(Event)
ASPECTS = {"exploration", "comforting", "action"}
FIRST = UserMessage(id="u-1", role="user", content="I lost my job.")
SECRET = "PRIVATE"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("agui_example", EXAMPLE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def url(example: ModuleType) -> Iterator[str]:
    config = uvicorn.Config(example.app, host="127.0.0.1", port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/agui"
    server.should_exit = True
    thread.join()


class Front:
    """A front end: it keeps the messages that it was shown, and sends all of them."""

    def __init__(self, url: str, turns: Turns) -> None:
        self.url, self.turns, self.thread = url, turns, uuid4().hex
        self.messages: list[Any] = []

    def body(self, **choices: Any) -> str:
        given = {
            "thread_id": self.thread, "run_id": uuid4().hex, "state": {}, "tools": [],
            "context": [], "forwarded_props": {}, "messages": self.messages,
        } | choices  # fmt: skip
        return RunAgentInput(**given).model_dump_json(by_alias=True, exclude_none=True)

    def send(self, *said: Any, **choices: Any) -> list[Any]:
        self.messages += said
        headers = {"Content-Type": "application/json", **choices.pop("headers", {})}
        body = self.body(**choices)
        answer = httpx.post(self.url, content=body, headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text
        lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
        events = [EVENT.validate_json(line) for line in lines]
        check(events)
        for snapshot in of("MESSAGES_SNAPSHOT", events)[-1:]:
            self.messages = list(snapshot.messages)
        return events

    def kept(self) -> list[Any]:
        state = self.turns.graph.get_state({"configurable": {"thread_id": self.thread}})
        return list(state.values.get("messages", []))


@pytest.fixture
def front(url: str, example: ModuleType, request: pytest.FixtureRequest) -> Front:
    """A front end of the server, whose graph has what the test's parameter says."""
    choices = {"ranker": FakeRanker(), **getattr(request, "param", {})}
    context, decisions = choices.pop("context", None), choices.pop("decisions", False)
    graph = create_cooper("esc", **choices).compile(checkpointer=InMemorySaver())
    turns = Turns(graph, wait=20)
    cooper = agent(turns, context=context, decisions=decisions)
    example.cooper = cooper  # type: ignore[attr-defined]
    return Front(url, turns)


def asking(server: OpenAIServer, url: str, example: ModuleType, context: Any = None) -> Front:
    """A front end of a server that asks an endpoint."""
    model = ChatOpenAI(base_url=server.url, api_key=SecretStr("sk-test"), model="m", max_retries=0)
    graph = create_cooper("esc", model=model, ranker=FakeRanker())
    turns = Turns(graph.compile(checkpointer=InMemorySaver()))
    example.cooper = agent(turns, context=context)  # type: ignore[attr-defined]
    return Front(url, turns)


def with_model(**script: Any) -> dict[str, Any]:
    return {"model": ScriptedModel(script=script)}


def of(kind: str, events: Sequence[Any]) -> list[Any]:
    return [event for event in events if event.type == EventType(kind)]


def words(events: Sequence[Any]) -> str:
    """What the last text message says."""
    last = of("TEXT_MESSAGE_START", events)[-1].message_id
    content = of("TEXT_MESSAGE_CONTENT", events)
    return "".join(event.delta for event in content if event.message_id == last)


def cooper_events(kind: str, events: Sequence[Any]) -> list[Any]:
    found = (event.value for event in of("CUSTOM", events) if event.name == "cooper")
    return [value for value in found if value["type"] == kind]


def check(events: Sequence[Any]) -> None:
    """What the protocol's own client verifies of every run."""
    assert events[0].type == EventType.RUN_STARTED
    assert events[-1].type in (EventType.RUN_FINISHED, EventType.RUN_ERROR)
    assert not of("RAW", events)
    opened: set[str] = set()
    for event in events:
        assert event.raw_event is None
        if event.type in (EventType.STEP_STARTED, EventType.TEXT_MESSAGE_START):
            name = getattr(event, "step_name", None) or event.message_id
            assert name not in opened
            opened.add(name)
        elif event.type in (EventType.STEP_FINISHED, EventType.TEXT_MESSAGE_END):
            opened.remove(getattr(event, "step_name", None) or event.message_id)
        elif event.type == EventType.TEXT_MESSAGE_CONTENT:
            assert event.message_id in opened
    assert not opened


def most_at_once(events: Sequence[Any]) -> int:
    """The largest number of steps that were under way at the same time."""
    began = [
        event.type == EventType.STEP_STARTED for event in events if hasattr(event, "step_name")
    ]
    return max(sum(1 if one else -1 for one in began[:n]) for n in range(len(began) + 1))


def test_a_turn_offline(front: Front) -> None:
    events = front.send(FIRST)
    assert [message.role for message in front.messages] == ["user", "assistant"]
    assert words(events) == front.messages[-1].content == front.kept()[-1].text
    shown = {event.content["aspect"]: event.content for event in of("ACTIVITY_SNAPSHOT", events)}
    assert shown.keys() == ASPECTS
    assert all(
        {"summary", "candidates", "progress"} <= content.keys() for content in shown.values()
    )
    assert {event.activity_type for event in of("ACTIVITY_SNAPSHOT", events)} == {ACTIVITY}
    assert len(of("STEP_STARTED", events)) == 9
    (state,) = of("STATE_SNAPSHOT", events)
    assert ASPECTS | {"ranking", "guard"} <= state.snapshot.keys()
    assert "messages" not in state.snapshot
    front.send(UserMessage(id="u-2", role="user", content="It was last week."))
    assert len(front.kept()) == 4


def test_a_streaming_endpoint_shows_the_agents_side_by_side(url: str, example: ModuleType) -> None:
    def reply(request: Request) -> Reply:
        if request.asked.role == "generator":
            return Reply(f"<think>{SECRET}</think>\n\nThat sounds hard.", chunk_delays=[0.01])
        return Reply(obey(request).text, delay=0.05)

    with OpenAIServer(reply) as server:
        events = asking(server, url, example).send(FIRST)
        prompts = [request.system[:80] for request in server.requests]
    assert words(events) == "That sounds hard."
    assert most_at_once(events) == 3
    everything = "".join(event.model_dump_json() for event in events)
    assert SECRET not in everything
    assert prompts
    assert not any(prompt in everything for prompt in prompts)


def test_words_that_others_take_the_place_of_are_taken_down(url: str, example: ModuleType) -> None:
    cut = Reply("I hear you, and I am glad that you told me.", cut=True)
    with OpenAIServer(only("generator", cut)) as server:
        front = asking(server, url, example, context={"hold_reply": False})
        events = front.send(FIRST)
    ends, (first, _) = of("TEXT_MESSAGE_END", events), of("MESSAGES_SNAPSHOT", events)
    starts = of("TEXT_MESSAGE_START", events)
    assert len(starts) == 2
    assert events.index(ends[0]) < events.index(first) < events.index(starts[1])
    assert [message.role for message in first.messages] == ["user"]
    assert words(events) == front.kept()[-1].text


@pytest.mark.parametrize(
    "front",
    [
        with_model(
            generator=f"You should kill yourself, {SECRET}.", tracker=f"<think>{SECRET}</think>S."
        )
    ],
    indirect=True,
)
def test_a_draft_that_is_refused_is_in_no_event(front: Front) -> None:
    events = front.send(FIRST)
    assert words(events) == front.kept()[-1].text
    assert SECRET not in "".join(event.model_dump_json() for event in events)


@pytest.mark.parametrize("front", [with_model()], indirect=True)
def test_the_guard_fires(front: Front) -> None:
    events = front.send(UserMessage(id="u-1", role="user", content="I want to kill myself."))
    (told,) = cooper_events("help", events)
    assert told["tier"] == "certain"
    assert words(events) == front.kept()[-1].text
    assert not of("STEP_STARTED", events)
    assert cooper_events("done", events)[0]["pinned"]


@pytest.mark.parametrize(
    "front", [{"model": ScriptedModel(delays={"generator": 0.4})}], indirect=True
)
def test_two_clients_at_once_on_one_thread(front: Front) -> None:
    other = Front(front.url, front.turns)
    other.thread = front.thread
    second = UserMessage(id="u-2", role="user", content="It was last week.")
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(front.send, FIRST), pool.submit(other.send, second)]
        replies = [words(run.result()) for run in runs]
    kept = front.kept()
    assert [message.type for message in kept] == ["human", "ai"] * 2
    assert {message.text for message in kept if message.type == "ai"} == set(replies)


@pytest.mark.parametrize(
    "front", [{"model": ScriptedModel(delays={"tracker": 0.3})}], indirect=True
)
def test_a_client_that_leaves_comes_back(front: Front) -> None:
    front.messages = [FIRST]
    headers = {"Content-Type": "application/json"}
    with httpx.stream("POST", front.url, content=front.body(), headers=headers) as answer:
        next(line for line in answer.iter_lines() if "STEP_STARTED" in line)
    assert [message.type for message in front.kept()] == ["human"]
    events = front.send()
    assert [message.type for message in front.kept()] == ["human", "ai"]
    assert words(events) == front.kept()[-1].text


@pytest.mark.parametrize("front", [with_model()], indirect=True)
def test_a_message_sent_again_has_the_same_reply(front: Front) -> None:
    first = front.send(FIRST)
    front.messages = [FIRST]  # the answer was lost on the way
    again = front.send()
    assert words(again) == words(first)
    assert cooper_events("reply", again)[0]["repeated"]
    assert len(front.kept()) == 2


@pytest.mark.parametrize("front", [with_model()], indirect=True)
def test_a_message_that_is_stored_stays_as_it_is(front: Front) -> None:
    front.send(UserMessage(id="u-1", role="user", content="I want to kill myself."))
    edited = UserMessage(id="u-1", role="user", content="I am fine.")
    reply = AssistantMessage(id="a-9", role="assistant", content="Glad you are fine.")
    before = front.kept()
    for sent in ([edited], [edited, reply], []):
        front.messages = sent
        assert front.send()[-1].type == EventType("RUN_ERROR" if sent else "RUN_FINISHED")
        assert front.kept() == before
    for number, history in enumerate(([edited, reply], [reply], [])):
        joke = UserMessage(id=f"n-{number}", role="user", content="Tell me a joke.")
        front.messages = [*history, joke]
        (told,) = cooper_events("help", front.send())
        assert told["tier"] == "certain"
    said = [message.text for message in front.kept() if message.type == "human"]
    assert said == ["I want to kill myself.", *["Tell me a joke."] * 3]


@pytest.mark.parametrize("front", [with_model()], indirect=True)
def test_an_edited_thread_goes_on_as_it_is(front: Front) -> None:
    front.send(FIRST)
    edited = AIMessage("Tell me more.", id=front.kept()[-1].id)
    with front.turns.holding(front.thread):
        front.turns.graph.update_state(
            {"configurable": {"thread_id": front.thread}},
            {"messages": [edited], "exploration": {"candidates": ["Ask about the boss"]}},
            as_node="reply_guard",
        )
    front.send(UserMessage(id="u-2", role="user", content="It was last week."))
    assert [message.content for message in front.messages][1] == "Tell me more."
    assert len(front.kept()) == 4


@pytest.mark.parametrize("front", [with_model()], indirect=True)
def test_a_client_changes_nothing_but_messages(front: Front) -> None:
    front.send(UserMessage(id="u-1", role="user", content="I want to kill myself."))
    lifted = {"guard": {"tier": "none", "fired": False}, "ranking": []}
    second = UserMessage(id="u-2", role="user", content="What shall I do?")
    props = {"nodeName": "generator", "m": 1}
    front.send(second, state=lifted, forwarded_props=props)
    values = front.turns.graph.get_state({"configurable": {"thread_id": front.thread}}).values
    assert values["guard"]["fired"]


@pytest.mark.parametrize("front", [with_model()], indirect=True)
def test_a_conversation_that_a_client_brings_along(front: Front) -> None:
    front.send(FIRST)
    front.thread = uuid4().hex  # the server has lost the thread
    front.send(UserMessage(id="u-2", role="user", content="It was last week."))
    assert [message.type for message in front.kept()] == ["human", "ai"] * 2


def reviewing(decisions: bool) -> dict[str, Any]:
    return {**with_model(), "context": {"review": True}, "decisions": decisions}


@pytest.mark.parametrize(
    "sent",
    [
        {"forwarded_props": {"command": {"resume": {"release": True}}}},
        {"resume": [{"status": "resolved", "payload": {"release": True}}]},
    ],
    ids=["command", "resume"],
)
@pytest.mark.parametrize(
    ("front", "lifted"),
    [(reviewing(False), False), (reviewing(True), True)],
    ids=["anybody", "reviewer"],
    indirect=["front"],
)
def test_no_client_lifts_a_review_unless_it_may_decide(
    front: Front, lifted: bool, sent: dict[str, Any]
) -> None:
    events = front.send(UserMessage(id="u-1", role="user", content="I want to kill myself."))
    interrupt = front.turns.graph.get_state(
        {"configurable": {"thread_id": front.thread}}
    ).interrupts[0]
    for entry in sent.get("resume", []):
        entry["interruptId"] = interrupt.id
    front.send(**sent)
    state = front.turns.graph.get_state({"configurable": {"thread_id": front.thread}})
    assert (not state.interrupts, not state.values["guard"]["fired"]) == (lifted, lifted)
    assert cooper_events("done", events)[0]["status"] == "interrupted"


@pytest.mark.parametrize("front", [reviewing(True)], indirect=True)
def test_a_person_reviews(front: Front) -> None:
    events = front.send(UserMessage(id="u-1", role="user", content="I want to kill myself."))
    assert [event.name for event in of("CUSTOM", events)][-1] == "on_interrupt"
    assert cooper_events("done", events)[0]["status"] == "interrupted"
    front.send(forwarded_props={"command": {"resume": "release"}})
    values = front.turns.graph.get_state({"configurable": {"thread_id": front.thread}})
    assert not values.interrupts


@pytest.mark.parametrize(
    "front", [with_model(tracker=InputError("the key is refused: name another"))], indirect=True
)
def test_a_fault_is_told_in_a_sentence(front: Front) -> None:
    events = front.send(FIRST)
    assert events[-1].message == "the key is refused: name another"
    events = front.send(UserMessage(id="u-2", role="user", content=" "))
    assert "the message is empty" in events[-1].message
    front.thread = "../etc"
    assert "looks like a path" in front.send()[-1].message


HALF = "\\ud800"  # as JSON has it


@pytest.mark.parametrize(
    ("put", "named"),
    [
        ('"threadId":"', "a character that cannot be seen"),
        ('"runId":"', "the run's id holds half of a character"),
        ('"id":"', "the message 1 holds half of a character"),
        ('"content":"', "the message 1 holds half of a character"),
        ('"resume":"', "the decision holds half of a character"),
    ],
)
@pytest.mark.parametrize("front", [{**with_model(), "decisions": True}], indirect=True)
def test_what_utf8_cannot_hold_is_refused(front: Front, put: str, named: str) -> None:
    front.messages = [FIRST]
    body = front.body(forwarded_props={"command": {"resume": "no"}})
    assert put in body
    headers = {"Content-Type": "application/json"}
    sent = body.replace(put, put + HALF).encode()
    answer = httpx.post(front.url, content=sent, headers=headers, timeout=60)
    events = [EVENT.validate_json(line[6:]) for line in answer.text.splitlines() if line]
    assert [event.type for event in events] == [EventType.RUN_STARTED, EventType.RUN_ERROR]
    assert named in events[-1].message
    assert not front.kept()


@pytest.mark.parametrize("front", [with_model()], indirect=True)
def test_owners_do_not_meet(
    front: Front, example: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {owner: f"{owner}-has-a-long-token" for owner in ("anna", "ben")}
    tokens = Tokens([f"{owner}:{token}" for owner, token in names.items()], "the test")
    monkeypatch.setattr(example, "tokens", tokens)
    anna, ben = ({"Authorization": f"Bearer {token}"} for token in names.values())
    events = front.send(FIRST, headers=anna)
    assert events[0].thread_id == events[-1].thread_id == front.thread
    other = Front(front.url, front.turns)
    other.thread = front.thread
    other.send(UserMessage(id="u-9", role="user", content="Hello."), headers=ben)
    assert [message.role for message in other.messages] == ["user", "assistant"]
    refused = httpx.post(front.url, content=front.body(), headers={"Authorization": "Bearer no"})
    assert refused.status_code in {401, 422}
    with pytest.raises(InputError, match="without a colon"):
        example.cooper.owned_by("an:na")  # type: ignore[attr-defined]


@pytest.mark.skipif(not (CLIENTS / "node_modules").exists(), reason="make examples installs it")
def test_ag_uis_own_client_finds_no_fault(front: Front) -> None:
    command = ["node", str(CLIENTS / "agui.mjs"), "I lost my job."]
    environment = {**os.environ, "COOPER_URL": front.url}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60, env=environment
    )
    assert "\nroles: user, activity, activity, activity, assistant\n" in done.stdout
    said, kept = done.stdout.split("\nroles: ")[0], done.stdout.split("\nkept: ")[1]
    assert said.endswith(kept.strip())
    assert not done.stderr


@pytest.mark.filterwarnings("ignore:`get_config_jsonschema` is deprecated")
async def test_ag_uis_own_agent_runs_the_graph_too() -> None:
    """Past the lock of `Turns`, but without an error, a prompt or a thought."""
    model = ScriptedModel(script={"generator": f"<think>{SECRET}</think>I hear you."})
    graph = create_cooper("esc", model=model, ranker=FakeRanker())
    plain = LangGraphAgent(
        name="esc", graph=graph.compile(checkpointer=InMemorySaver()), emit_raw_events=False
    )
    given = RunAgentInput.model_validate_json(Front("", None).body(messages=[FIRST]))  # type: ignore[arg-type]
    events = [event async for event in plain.run(given)]
    assert events[-1].type == EventType.RUN_FINISHED
    said = "".join(event.delta for event in of("TEXT_MESSAGE_CONTENT", events))
    assert said == "I hear you."
