"""A turn told as events: which, in what order, how large, and what never is in one."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from typer.testing import CliRunner

from langgraph_cooper.graph import (
    Event,
    InputError,
    ModelError,
    StoppedError,
    Turns,
    as_event,
    awarm_up,
    create_cooper,
    event_schema,
    warm_up,
)
from langgraph_cooper.graph.cli.app import app
from langgraph_cooper.nodes.events import EVENT, MOST_BYTES
from langgraph_cooper.nodes.finetuned import engine
from langgraph_cooper.nodes.guard import released
from langgraph_cooper.prompts import load_task
from tests.support.rankers import FakeRanker
from tests.support.scripted import ScriptedModel

SCHEMA = Path(__file__).parents[3] / "docs/events.schema.json"
THREAD = "anna"
FIRST = HumanMessage("I lost my job.", id="m-1")
CRISIS = HumanMessage("I want to kill myself.", id="m-2")
STAGES = {"tracker", "promoter", "progression"}
ASPECTS = {"exploration", "comforting", "action"}


def cooper(task: str = "esc", **choices: Any) -> Any:
    built = create_cooper(task, **{"ranker": FakeRanker(), **choices})
    return built.compile(checkpointer=InMemorySaver())


def of(kind: str, events: Iterable[Event]) -> list[Any]:
    return [event for event in events if event.type == kind]


def told(turns: Turns, message: Any = FIRST, **choices: Any) -> list[Event]:
    """Return a turn's events, after the checks that hold for every turn."""
    events = list(turns.events(THREAD, message, **choices))
    check(events)
    return events


def check(events: list[Event]) -> None:
    assert [e.type for e in events][:: len(events) - 1] == ["turn_started", "done"]
    assert len({e.turn for e in events}) == 1
    assert len({e.id for e in events}) == len(events)
    (reply,) = of("reply", events)
    tokens = of("token", events)
    last = "".join(e.text for e in tokens if e.attempt == tokens[-1].attempt)
    assert last.startswith(reply.text.rstrip("…")) if reply.shortened else last == reply.text
    for event in events:
        assert len(event.as_json().encode()) < MOST_BYTES
        assert EVENT.validate_json(event.as_json()) == event
        assert json.loads(event.as_json()) == event.as_dict()


# ------------------------------------------------------------------------------ what is told


async def test_sync_and_async_tell_the_same() -> None:
    turns = Turns(cooper())
    events = told(turns)
    others = [event async for event in turns.aevents("other", FIRST)]
    check(others)
    assert {e.id for e in events} == {e.id for e in others}
    assert [e.as_dict() for e in of("token", events)] == [e.as_dict() for e in of("token", others)]


def test_every_stage_of_every_agent_is_told() -> None:
    events = told(Turns(cooper()))
    for status in ("started", "completed"):
        seen = {(e.aspect, e.stage) for e in of("agent", events) if e.status == status}
        assert seen == {(aspect, stage) for aspect in ASPECTS for stage in STAGES}
    completed = [e for e in of("agent", events) if e.status == "completed"]
    assert {e.text for e in completed if e.stage == "tracker"} == {"I lost my job."}
    assert {e.progress for e in completed if e.stage == "progression"} == {0.5}
    assert not any(e.replaced for e in completed)


def test_a_ranking_refers_to_the_candidates_that_were_proposed() -> None:
    turns = Turns(cooper())
    events = told(turns, context={"k": 2})
    proposed = {c.id: c for e in of("agent", events) for c in e.candidates or []}
    ranked = [c for e in of("ranking", events) for c in e.candidates]
    assert [c.rank for c in ranked] == list(range(1, len(ranked) + 1))
    assert {c.id for c in ranked if c.aspect != "passive"} == set(proposed)
    chosen = [c for c in ranked if c.chosen]
    assert [c.rank for c in chosen] == [1, 2]
    assert all(c.topic == proposed[c.id].topic for c in chosen if c.id in proposed)
    parts = of("ranking", events)
    assert [(e.part, e.parts) for e in parts] == [(n + 1, len(parts)) for n in range(len(parts))]


# ----------------------------------------------------------------------------- every path


def test_a_message_sent_again_is_told_with_its_reply_alone() -> None:
    turns = Turns(cooper())
    before = told(turns)
    told(turns, HumanMessage("It was last week.", id="m-3"))
    again = told(turns, FIRST)
    assert {e.type for e in again} == {"turn_started", "token", "reply", "done"}
    assert all(e.again for e in again)
    (reply,) = of("reply", again)
    assert (reply.text, reply.repeated) == (of("reply", before)[0].text, True)
    assert reply.id == of("reply", before)[0].id


def test_the_guard_names_help_and_its_line_stays_until_the_person_is_released() -> None:
    graph = cooper()
    turns = Turns(graph)
    assert of("done", told(turns))[0].pinned is None
    events = told(turns, CRISIS)
    (help_,), (reply,), (done,) = (of(kind, events) for kind in ("help", "reply", "done"))
    assert (help_.tier, help_.kind, reply.by) == ("certain", "suicide", "guard")
    assert help_.text == reply.text
    assert any("988" in line for line in help_.lines)
    assert "988" in done.pinned
    assert not of("agent", events)
    assert "988" in of("done", told(turns, "yes, I am safe"))[0].pinned
    config = {"configurable": {"thread_id": THREAD}}
    graph.update_state(config, released(graph.get_state(config).values), as_node="review")
    assert of("done", told(turns, "I feel better."))[0].pinned is None


def test_a_review_is_told_as_interrupted() -> None:
    events = told(Turns(cooper()), CRISIS, context={"review": True})
    assert of("done", events)[0].status == "interrupted"
    assert of("reply", events)[0].by == "guard"


def test_the_system_may_open() -> None:
    events = told(Turns(cooper("persuasion")), None)
    assert of("turn_started", events)[0].message_id is None
    assert not any(e.again for e in events)


def test_a_model_that_fails_is_told_as_faults_and_the_reply_stands_in() -> None:
    model = ScriptedModel(script={"generator": TimeoutError(), "tracker:action": TimeoutError()})
    events = told(Turns(cooper(model=model)), context={"deadline": 5})
    assert {(e.aspect, e.step) for e in of("fault", events)} >= {
        ("action", "tracker"), (None, "generator")
    }  # fmt: skip
    assert of("reply", events)[0].by == "stand_in"
    replaced = {(e.aspect, e.stage) for e in of("agent", events) if e.replaced}
    assert ("action", "tracker") in replaced


def test_a_turn_that_fails_ends_in_done_and_is_told_again_when_it_goes_on() -> None:
    model = ScriptedModel(script={"generator": ModelError("the key is refused")})
    turns = Turns(cooper(model=model))
    before: list[Event] = []
    with pytest.raises(ModelError, match="refused"):
        before.extend(turns.events(THREAD, FIRST))
    for event in turns.events("other", FIRST):
        before.append(event)
        if event.type == "done":
            break
    assert (before[-1].type, before[-1].status) == ("done", "failed")  # type: ignore[union-attr]
    assert before[-1].error == "the key is refused"  # type: ignore[union-attr]
    model.script = {"generator": "I hear you."}
    after = told(turns)
    assert all(e.again for e in after)
    assert not of("agent", after)  # they had finished
    assert of("turn_started", after)[0].id == of("turn_started", before)[0].id


def test_a_message_that_is_not_stored_is_told_nothing_of() -> None:
    events = turns_of(Turns(cooper()), HumanMessage("  "))
    with pytest.raises(InputError, match="empty"):
        next(events)


def turns_of(turns: Turns, message: Any) -> Any:
    return turns.events(THREAD, message)


def test_an_earlier_turn_is_caught_up_with_silently_and_that_is_told() -> None:
    model = ScriptedModel(script={"generator": ModelError("the key is refused")})
    turns = Turns(cooper(model=model))
    with pytest.raises(ModelError):
        turns.send(THREAD, FIRST)
    model.script = {"generator": "I hear you."}
    events = told(turns, HumanMessage("It was last week.", id="m-9"))
    assert of("turn_started", events)[0].caught_up
    assert of("turn_started", events)[0].message_id == "m-9"
    assert not any(e.again for e in events)


# --------------------------------------------------------------------- what never is in one


def test_neither_thoughts_nor_drafts_nor_raw_answers_are_told() -> None:
    secret = "PRIVATE"
    listed = [{"topic": f"Topic {n}", "strategy": ""} for n in range(4)]
    model = ScriptedModel(
        script={
            "tracker": f"<think>{secret}</think>She lost her job.",
            "promoter": json.dumps({"why": secret, "candidates": listed}),
            "generator": f"<think>{secret}</think>You should kill yourself, {secret}.",
        }
    )
    events = told(Turns(cooper(model=model)))
    assert secret not in "".join(e.as_json() for e in events)
    assert of("reply", events)[0].by == "guard"  # it replaced the draft
    assert {e.text for e in of("agent", events) if e.stage == "tracker" and e.text} == {
        "She lost her job."
    }


@pytest.mark.parametrize("held", [True, False])
def test_thoughts_are_in_no_token(held: bool) -> None:
    model = ScriptedModel(script={"generator": "<think>PRIVATE thing</think>I hear you."})
    events = told(Turns(cooper(model=model)), context={"hold_reply": held})
    assert "PRIVATE" not in "".join(e.as_json() for e in events)
    assert of("reply", events)[0].text == "I hear you."


@pytest.mark.parametrize("letter", ["a", "é", "😀", '"', "\\"])
def test_events_stay_small_however_long_the_texts(letter: str) -> None:
    word = letter * 59
    long = [{"topic": f"{n} " + " ".join([word] * 9), "strategy": ""} for n in range(20)]
    reply = " ".join(f"{letter * 9}{n}." for n in range(600))
    model = ScriptedModel(
        script={
            "tracker": " ".join([word] * 60) + ".",
            "promoter": json.dumps({"candidates": long}),
            "generator": reply,
        }
    )
    asked = HumanMessage("I lost my job.", id="x" * 2_000)
    events = told(Turns(cooper(model=model)), asked, context={"m": 20, "k": 20})
    assert of("reply", events)[0].shortened
    assert of("turn_started", events)[0].message_id is None
    assert any(e.parts > 1 for e in of("agent", events))
    proposed = [c.id for e in of("agent", events) for c in e.candidates or []]
    ranked = [c.id for e in of("ranking", events) for c in e.candidates if c.aspect != "passive"]
    assert sorted(proposed) == sorted(ranked)


# ------------------------------------------------------------------------------------- stop


def patient(said: threading.Event) -> ScriptedModel:
    """A model whose trackers tell when they are asked, and then take their time."""

    def slowly(_: Any) -> str:
        said.set()
        time.sleep(0.3)
        return "She lost her job."

    return ScriptedModel(script={"tracker": slowly})


@pytest.mark.parametrize("way", ["send", "events"])
def test_a_sync_turn_is_stopped_and_the_next_call_answers(way: str) -> None:
    asked = threading.Event()
    model = patient(asked)
    turns = Turns(cooper(model=model))
    outcome: list[Any] = []

    def run() -> None:
        try:
            call: Callable[..., Any] = getattr(turns, way)
            outcome.extend([call(THREAD, FIRST)] if way == "send" else call(THREAD, FIRST))
        except StoppedError as error:
            outcome.append(error)

    assert not turns.stop(THREAD)
    running = threading.Thread(target=run)
    running.start()
    assert asked.wait(30)
    assert turns.stop(THREAD)
    running.join(30)
    if way == "send":
        assert isinstance(outcome[0], StoppedError)
    else:
        assert (outcome[-1].type, outcome[-1].status) == ("done", "stopped")
    assert not model.asked("promoter")
    assert not model.asked("generator")
    assert not turns.stop(THREAD)
    model.script = {}
    events = told(turns, None)
    assert of("turn_started", events)[0].message_id == "m-1"
    assert all(e.again for e in events)


async def test_an_async_turn_is_stopped_and_the_next_call_answers() -> None:
    model = ScriptedModel(delays={"promoter": 60})
    turns = Turns(cooper(model=model))
    events, promoting = [], 0
    async for event in turns.aevents(THREAD, FIRST):
        events.append(event)
        promoting += event.type == "agent" and event.stage == "promoter"
        if promoting == len(ASPECTS):
            assert turns.stop(THREAD)
            promoting = 0
    assert (events[-1].type, events[-1].status) == ("done", "stopped")
    assert not of("reply", events)
    assert not await turns.astop(THREAD)
    model.delays = {}
    assert (await turns.asend(THREAD, None)).text
    assert len(model.asked("tracker")) == len(ASPECTS)  # what had finished did not run again


async def test_a_stopped_asend_raises_and_its_thread_is_free() -> None:
    model = ScriptedModel(delays={"promoter": 60})
    turns = Turns(cooper(model=model))
    running = asyncio.create_task(turns.asend(THREAD, FIRST))
    while len(model.asked("tracker")) < len(ASPECTS):
        await asyncio.sleep(0.01)
    assert await turns.astop(THREAD)
    with pytest.raises(StoppedError, match="was stopped"):
        await running
    model.delays = {}
    assert (await turns.asend(THREAD, FIRST)).text


# ------------------------------------------------------------------------- LangGraph's clients


SAID: Any = {"messages": [FIRST]}


def kinds(parts: Iterable[Any]) -> list[str]:
    found = [as_event(part["data"]) for part in parts]
    return [event.type for event in found if event]


def test_the_custom_stream_has_the_agents_ranking_and_reply() -> None:
    graph = create_cooper("esc", ranker=FakeRanker()).compile()
    for subgraphs in (False, True):
        seen = kinds(graph.stream(SAID, stream_mode="custom", subgraphs=subgraphs, version="v2"))
        assert seen.count("agent") == 2 * len(STAGES) * len(ASPECTS)
        assert seen.count("reply") == 1
        assert "ranking" in seen


def test_a_host_graph_sees_them_through_subgraphs() -> None:
    host = StateGraph(MessagesState)
    host.add_node("support", create_cooper("esc", ranker=FakeRanker()).compile())
    host.add_edge(START, "support")
    graph = host.compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    parts = graph.stream(SAID, config, stream_mode="custom", subgraphs=True, version="v2")
    assert {"agent", "ranking", "reply"} <= set(kinds(parts))
    check(list(Turns(graph).events(THREAD, FIRST, subgraphs=True)))


def test_a_reply_of_another_node_is_not_the_generators() -> None:
    def chosen(state: MessagesState) -> str:
        return "hours" if "open" in state["messages"][-1].text else "support"

    host = StateGraph(MessagesState)
    host.add_node("hours", lambda _: {"messages": [AIMessage("We open at nine.")]})
    host.add_node("support", create_cooper("esc", ranker=FakeRanker()).compile())
    host.add_conditional_edges(START, chosen, ["hours", "support"])
    turns = Turns(host.compile(checkpointer=InMemorySaver()))
    for said, by in (("When do you open?", "other"), (FIRST, "generator")):
        assert of("reply", turns.events(THREAD, said, subgraphs=True))[0].by == by


@pytest.mark.parametrize("task", ["esc", "persuasion"])
async def test_custom_events_reach_astream_events(task: str) -> None:
    graph = create_cooper(task, ranker=FakeRanker()).compile()
    found = [
        event["data"]["type"]
        async for event in graph.astream_events(SAID, version="v2")
        if event["event"] == "on_custom_event" and event["name"] == "cooper"
    ]
    assert found.count("agent") == 2 * len(STAGES) * len(ASPECTS)
    assert found.count("reply") == 1
    assert "ranking" in found


def test_other_parts_of_the_custom_stream_are_no_events() -> None:
    for other in (None, "text", {"v": 1}, {"v": 2, "type": "done", "turn": "", "id": ""}):
        assert as_event(other) is None


# ---------------------------------------------------------------------------- warm-up, schema


class CountingRanker(FakeRanker):
    used = 0

    def score(self, *given: Any) -> list[float]:
        self.used += 1
        return super().score(*given)


async def test_warming_up_tries_the_ranker_and_asks_no_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ranker, model = CountingRanker(), ScriptedModel()
    graph = create_cooper("esc", ranker=ranker, model=model)
    warm_up(graph)
    warm_up(graph.compile())
    host = StateGraph(MessagesState)
    host.add_node("support", graph.compile())
    host.add_edge(START, "support")
    await awarm_up(host.compile())
    assert ranker.used == 3
    assert not model.calls
    second = create_cooper("esc", ranker=ranker, guard_model="no-key-for-this")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ModelError, match="OPENAI_API_KEY"):
        warm_up(second)
    with pytest.raises(InputError, match="no COOPER"):
        warm_up(StateGraph(MessagesState))


def test_warming_up_loads_the_bank_and_the_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    embedded: set[str] = set()

    class Noting(FakeRanker):
        def embed(self, texts: Sequence[str]) -> Any:
            embedded.update(texts)
            return super().embed(texts)

    monkeypatch.setattr(engine, "load_engine", lambda voice, **_: loaded.append(voice.folder.name))
    warm_up(create_cooper("esc", ranker=Noting(), generator="finetuned"))
    assert loaded == ["esc-generator"]
    topics = {topic.topic for aspect in load_task("esc").aspects for topic in aspect.topics}
    assert len(embedded & topics) > 20
    warm_up(create_cooper("esc", ranker=Noting()))  # which speaks from the bank
    assert loaded == ["esc-generator"]


def test_the_published_schema_is_the_events() -> None:
    """After a change: cooper events > docs/events.schema.json."""
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == event_schema()
    printed = CliRunner().invoke(app, ["events"])
    assert printed.stdout == SCHEMA.read_text(encoding="utf-8")
