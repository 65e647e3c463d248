"""One agent or the generator fails: a visible fallback takes its place, and the turn goes on."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatResult
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, interrupt
from pydantic import PrivateAttr

from langgraph_cooper.graph import CooperContext, create_cooper
from langgraph_cooper.graph.agent import create_agent
from langgraph_cooper.graph.annotation.annotator import annotate_dialogue, create_annotator
from langgraph_cooper.nodes import ModelError
from langgraph_cooper.nodes.errors import FaultKind
from langgraph_cooper.nodes.generator import NEUTRAL, STANDS_IN
from langgraph_cooper.nodes.llm.quirks import habits_of
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.prompts import TaskError, TaskSpec, load_task
from langgraph_cooper.ranker.api import Progression, ScoredTopic
from langgraph_cooper.ranker.data.dialogue import Dialogue, Utterance
from tests.support.rankers import FakeRanker
from tests.support.roles import recognise
from tests.support.scripted import ScriptedModel
from tests.support.talk import everything

Graph = CompiledStateGraph[Any, CooperContext, Any, Any]
ESC = load_task("esc")
THREAD: RunnableConfig = {"configurable": {"thread_id": "one"}}
SAID = "I lost my job and I feel lost."
MORE = "It was on Friday."
OUTLINE = "Ask about the boss"
TOPICS = json.dumps({"candidates": [{"topic": OUTLINE, "strategy": "Question"}] * 1})
PASSING: list[FaultKind] = [
    "connection",
    "rate_limit",
    "server",
    "timeout",
    "cut",
    "refusal",
    "nonsense",
    "budget",
    "internal",
]


class BrokenRanker(FakeRanker):
    """Breaks in the parts that a test names."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: set[str] = set()
        self.signal_of: dict[str, float] = {}
        self.signals: dict[str, Any] = {}

    def embed(self, texts: Sequence[str]) -> Any:
        self._check("embed")
        return super().embed(texts)

    def progression(self, aspect: str, state: str) -> Progression:
        self._check(aspect)
        found = super().progression(aspect, state)
        found.signal[:] = self.signal_of.get(aspect, found.signal)
        return found

    def score(
        self, history: Sequence[Utterance], candidates: Sequence[ScoredTopic], signals: Any
    ) -> list[float]:
        self._check("score")
        self.signals = dict(signals)
        return super().score(history, candidates, signals)

    def _check(self, part: str) -> None:
        if part in self.broken:
            raise RuntimeError(part)


class Talk:
    """A conversation whose turns run through one of LangGraph's ways to run a graph."""

    def __init__(self, way: str = "invoke", task: str | TaskSpec = "esc", **script: Any) -> None:
        self.way = way
        self.script: dict[str, Any] = {
            key.replace("_", ":"): value for key, value in script.items()
        }
        self.model = ScriptedModel(script=self.script)
        # Pydantic copies the mapping: a test changes the model's own.
        self.script = self.model.script  # type: ignore[assignment]
        self.ranker = BrokenRanker()
        self.graph: Graph = create_cooper(task, model=self.model, ranker=self.ranker).compile(
            checkpointer=InMemorySaver()
        )
        self.shown: list[tuple[Any, dict[str, Any]]] = []

    def say(self, text: str) -> dict[str, Any]:
        return self.run({"messages": [HumanMessage(text)]})

    def run(self, given: Any) -> dict[str, Any]:
        self.shown.clear()
        if self.way == "invoke":
            self.graph.invoke(given, THREAD, durability="sync")
        elif self.way == "ainvoke":
            asyncio.run(self.graph.ainvoke(given, THREAD))
        else:
            asyncio.run(self._stream(given))
        return self.state

    async def _stream(self, given: Any) -> None:
        async for part in self.graph.astream(
            given, THREAD, stream_mode=["messages", "updates"], subgraphs=True, version="v2"
        ):
            if part["type"] == "messages":
                self.shown.append(part["data"])

    @property
    def state(self) -> dict[str, Any]:
        values: dict[str, Any] = self.graph.get_state(THREAD).values
        return values

    @property
    def reply(self) -> BaseMessage:
        message: BaseMessage = self.state["messages"][-1]
        return message

    def asked(self, key: str) -> int:
        return len(self.model.asked(key))


WAYS = ["invoke", "ainvoke", "astream with subgraphs"]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def faults(state: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Return (step, kind) of the faults, by the state key that reports them."""
    found = {
        name: [(fault["step"], fault["kind"]) for fault in state.get(name, {}).get("faults", [])]
        for name in (*ESC.aspect_names, "cooper")
    }
    return {name: told for name, told in found.items() if told}


def topics(report: dict[str, Any]) -> list[str]:
    return [candidate["topic"] for candidate in report["candidates"]]


def sources(report: dict[str, Any]) -> set[str]:
    return {candidate["source"] for candidate in report["candidates"]}


def failing(kind: FaultKind = "server") -> ModelError:
    return ModelError("the model 'm' failed", kind)


def sayings(task: TaskSpec) -> list[str]:
    banks = [aspect.topics for aspect in task.aspects] + [kind.topics for kind in task.passive]
    return [form for bank in [*banks, task.answers] for topic in bank for form in topic.say]


def prepared(reply: BaseMessage, kind: str, task: TaskSpec = ESC) -> bool:
    """Return whether the reply is marked and made of the task's own sentences."""
    assert isinstance(reply, AIMessage)
    assert reply.response_metadata[STANDS_IN] == kind
    return any(form.partition("{")[0][:20] in reply.text for form in sayings(task))


# ------------------------------------------------------------------ a tracker


def test_a_tracker_that_fails_keeps_its_last_summary_and_catches_up(way: str) -> None:
    talk = Talk(way)
    before = talk.say(SAID)["comforting"]
    talk.script["tracker:comforting"] = failing()
    state = talk.say(MORE)
    report = state["comforting"]
    assert report["state"] == before["state"] == "What is known about comforting."
    assert report["covers"] == before["covers"]
    assert report["stale"] is True
    assert report["faults"] == [
        {"step": "tracker", "kind": "server", "message": "the model 'm' failed"}
    ]
    assert faults(state) == {"comforting": [("tracker", "server")]}
    assert sources(report) == {"model"}  # its promoter could still be asked
    assert talk.reply.text == "I hear you, and I am glad you told me."
    assert state["exploration"]["covers"]["messages"] == 3
    assert not state["exploration"]["stale"]

    del talk.script["tracker:comforting"]
    state = talk.say("I told nobody.")
    assert faults(state) == {}
    assert not state["comforting"]["stale"]
    assert state["comforting"]["covers"]["messages"] == 5
    given = talk.model.asked("tracker:comforting")[-1].messages[1].text
    assert f"Seeker: {MORE}" in given  # what the failed turn missed
    assert SAID not in given


def test_in_the_first_turn_there_is_no_last_summary() -> None:
    talk = Talk(tracker_action=failing())
    report = talk.say(SAID)["action"]
    assert report["state"] == ""
    assert report["stale"]
    assert report["covers"]["messages"] == 0
    assert sources(report) == {"model"}
    assert report["targets"] == []


def test_a_summary_of_edited_messages_does_not_stand_in() -> None:
    talk = Talk()
    talk.run({"messages": [HumanMessage(SAID, id="1")]})
    talk.script["tracker"] = failing()
    state = talk.run({"messages": [HumanMessage("No, I quit.", id="1"), HumanMessage(MORE)]})
    assert {state[name]["state"] for name in ESC.aspect_names} == {""}


def test_an_agent_by_itself_tells_of_this_turn_only() -> None:
    resources = Resources(ESC, ScriptedModel(), None, FakeRanker)
    agent = create_agent(ESC.aspect("action"), resources).compile()
    told = {"state": "Old.", "stale": True, "faults": [{"step": "tracker"}]}
    report = agent.invoke({"messages": [HumanMessage(SAID)], "action": told})["action"]
    assert report["faults"] == []
    assert not report["stale"]


def test_a_summary_is_short() -> None:
    talk = Talk(tracker_action="word " * 20_000)
    assert 1_000 < len(talk.say(SAID)["action"]["state"]) <= 4_000


# ----------------------------------------------------------------- a promoter


def test_a_promoter_that_fails_gives_way_to_the_bank(way: str) -> None:
    talk = Talk(way, promoter_comforting=failing("nonsense"))
    state = talk.say(SAID)
    assert faults(state) == {"comforting": [("promoter", "nonsense")]}
    assert sources(state["comforting"]) == {"bank"}
    bank = {topic.topic for topic in (*ESC.aspect("comforting").topics, *ESC.answers)}
    assert len(topics(state["comforting"])) == ESC.m
    assert set(topics(state["comforting"])) <= bank
    assert not state["comforting"]["stale"]
    assert sources(state["action"]) == {"model"}
    assert {r["source"] for r in state["ranking"] if r["aspect"] == "comforting"} == {"bank"}
    del talk.script["promoter:comforting"]
    state = talk.say(MORE)
    assert faults(state) == {}
    assert sources(state["comforting"]) == {"model"}


def test_without_a_bank_the_last_turns_candidates_stand_in_or_none(way: str) -> None:
    bare = ESC.model_copy(
        update={
            "aspects": tuple(a.model_copy(update={"topics": ()}) for a in ESC.aspects),
            "passive": (),
            "answers": (),
        }
    )
    talk = Talk(way, task=bare, promoter=failing())
    state = talk.say(SAID)
    assert [topics(state[name]) for name in ESC.aspect_names] == [[], [], []]
    assert state["ranking"] == []
    assert talk.reply.text == "I hear you, and I am glad you told me."
    del talk.script["promoter"]
    last = topics(talk.say(MORE)["action"])
    talk.script["promoter"] = failing()
    state = talk.say("I told nobody.")
    assert topics(state["action"]) == last == [f"Topic {n} of action" for n in (1, 2, 3, 4)]


@pytest.mark.parametrize("kind", PASSING)
def test_after_a_tracker_that_reached_nobody_the_bank_comes_at_once(kind: FaultKind) -> None:
    talk = Talk(tracker_action=failing(kind))
    report = talk.say(SAID)["action"]
    unreachable = kind in ("connection", "timeout", "budget")
    assert talk.asked("promoter:action") == (0 if unreachable else 1)
    assert sources(report) == {"bank" if unreachable else "model"}
    told = [(fault["step"], fault["kind"]) for fault in report["faults"]]
    assert told == [("tracker", kind), ("promoter", kind)][: 2 if unreachable else 1]


# ---------------------------------------------------------------- progression


@pytest.mark.parametrize("number", [None, float("nan"), float("inf")])
def test_progression_that_fails_leaves_the_last_progress_and_no_signal(
    number: float | None, way: str
) -> None:
    talk = Talk(way)
    talk.say(SAID)
    talk.ranker.broken = {"action"} if number is None else set()
    talk.ranker.signal_of = {} if number is None else {"action": number}
    state = talk.say(MORE)
    assert faults(state) == {"action": [("progression", "internal")]}
    assert state["action"]["progress"] == 0.5
    assert sources(state["action"]) == {"model"}
    assert {name: signal.any() for name, signal in talk.ranker.signals.items()} == {
        "exploration": True,
        "comforting": True,
        "action": False,
    }
    assert len(state["ranking"]) >= 12


def test_progression_recovers() -> None:
    talk = Talk()
    talk.ranker.broken = {"action"}
    talk.say(SAID)
    talk.ranker.broken = set()
    state = talk.say(MORE)
    assert faults(state) == {}
    assert talk.ranker.signals["action"].any()


# ------------------------------------------------------------- several agents


@pytest.mark.parametrize(
    ("lanes", "what"),
    [
        (1, failing("timeout")),
        (1, KeyError("sk-secret")),
        (2, RecursionError()),
        (3, failing("timeout")),
        (3, KeyError("sk-secret")),
    ],
)
def test_lanes_fail_alone(lanes: int, what: Exception, way: str) -> None:
    broken, sound = ESC.aspect_names[:lanes], ESC.aspect_names[lanes:]
    talk = Talk(way)
    for name in broken:
        talk.script[f"tracker:{name}"] = talk.script[f"promoter:{name}"] = what
    state = talk.say(SAID)
    assert set(faults(state)) == set(broken)
    assert talk.reply.text == "I hear you, and I am glad you told me."
    assert STANDS_IN not in talk.reply.response_metadata
    for name in broken:
        assert state[name]["stale"]
        assert sources(state[name]) == {"bank"}
    for name in sound:
        assert state[name]["state"] == f"What is known about {name}."
        assert topics(state[name])[0] == f"Topic 1 of {name}"
    assert "sk-secret" not in json.dumps(state, default=str)


def test_all_and_everything_failing_still_gives_a_reply_and_the_next_turn_recovers(
    way: str,
) -> None:
    talk = Talk(way, tracker=failing(), promoter=failing(), generator=failing())
    state = talk.say(SAID)
    both = [("tracker", "server"), ("promoter", "server")]
    assert faults(state) == {**dict.fromkeys(ESC.aspect_names, both), "cooper": [
        ("generator", "server")
    ]}  # fmt: skip
    assert prepared(talk.reply, "server")
    again = talk.say(MORE)
    assert prepared(talk.reply, "server")
    assert again["messages"][1].text != again["messages"][3].text
    talk.script.clear()
    state = talk.say("I told nobody.")
    assert faults(state) == {}
    assert "faults" not in state["cooper"]
    assert STANDS_IN not in talk.reply.response_metadata
    for name in ESC.aspect_names:
        given = talk.model.asked(f"tracker:{name}")[-1].messages[1].text
        assert SAID in given
        assert MORE in given


def test_the_state_keeps_plain_values(way: str) -> None:
    talk = Talk(way, tracker=failing(), promoter=ValueError("x"), generator=failing())
    talk.ranker.broken = {"score", "action"}
    state = talk.say(SAID)
    plain = {key: value for key, value in state.items() if key != "messages"}
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert ("coordinator", "internal") in faults(state)["cooper"]


# ---------------------------------------------------------------- the generator


def test_a_generator_that_fails_is_replaced_by_the_tasks_own_sentences(way: str) -> None:
    talk = Talk(way, generator=failing("refusal"), promoter=TOPICS)
    state = talk.say(SAID)
    assert prepared(talk.reply, "refusal")
    assert faults(state) == {"cooper": [("generator", "refusal")]}
    assert len(state["messages"]) == 2
    talk.say(MORE)
    talk.say("I told nobody.")
    said = [message.text for message in talk.state["messages"][1::2]]
    assert len(set(said)) == 3
    outlines = [topic for _, topic in everything(ESC)] + [OUTLINE]
    assert not any(outline in reply for outline in outlines for reply in said)
    del talk.script["generator"]
    assert faults(talk.say("Yes.")) == {}
    assert talk.reply.text == "I hear you, and I am glad you told me."


def test_what_is_due_comes_first_in_a_prepared_reply() -> None:
    talk = Talk(generator=failing())
    talk.say(SAID)
    talk.say("Bye.")
    closing = next(kind for kind in ESC.passive if kind.name == "closing")
    forms = [form for topic in closing.topics for form in topic.say]
    assert any(form in talk.reply.text for form in forms)


def test_who_has_said_no_is_not_asked_again_by_a_prepared_reply() -> None:
    talk = Talk(task="persuasion", generator=failing(), promoter=failing())
    talk.run({"messages": []})
    talk.say("I'm fine.")
    talk.say("No, I don't want to donate.")
    assert "?" not in talk.reply.text or "donat" not in talk.reply.text.lower()


def test_with_nothing_left_a_neutral_sentence_is_said(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(
        "langgraph_cooper.nodes.offline.generator.OfflineGenerator.__call__", broken
    )
    talk = Talk(way, generator=failing(), promoter=failing())
    talk.ranker.broken = {"embed", "score", *ESC.aspect_names}
    state = talk.say(SAID)
    assert talk.reply.text == NEUTRAL
    assert talk.reply.response_metadata[STANDS_IN] == "server"
    assert {kind for _, kind in faults(state)["action"]} == {"server", "internal"}
    assert {ranked["aspect"] for ranked in state["ranking"]} == {"passive"}
    if talk.shown:
        assert "".join(chunk.text for chunk, _ in talk.shown) == NEUTRAL


def test_a_prepared_reply_is_streamed_and_marked() -> None:
    talk = Talk("astream with subgraphs", generator=failing("timeout"))
    talk.say(SAID)
    chunks = [chunk for chunk, _ in talk.shown]
    assert "".join(chunk.text for chunk in chunks) == talk.reply.text
    assert {chunk.id for chunk in chunks} == {talk.reply.id}
    assert {about["langgraph_node"] for _, about in talk.shown} == {"reply_guard"}
    assert {about[STANDS_IN] for _, about in talk.shown} == {"timeout"}


class Breaking(ScriptedModel):
    """Its generator breaks off after three words."""

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        yield from islice(super()._stream(*args, **kwargs), 3)
        raise failing("cut")

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        for chunk in self._stream(*args, **{**kwargs, "run_manager": None}):
            yield chunk


@pytest.mark.parametrize("asynchronous", [False, True], ids=["stream", "astream"])
def test_a_cut_reply_is_never_saved_and_the_whole_one_is_another_message(
    asynchronous: bool,
) -> None:
    breaking = Breaking()
    habits_of(breaking).thinks = False  # as after a first whole answer
    graph = create_cooper(
        "esc", model=ScriptedModel(), generator_model=breaking, ranker=FakeRanker()
    ).compile(checkpointer=InMemorySaver())
    said = {"messages": [HumanMessage(SAID)]}
    options: dict[str, Any] = {"stream_mode": "messages", "version": "v2", "subgraphs": True}
    options["context"] = CooperContext(hold_reply=False)  # as it comes

    async def collect() -> list[Any]:
        return [part["data"] async for part in graph.astream(said, THREAD, **options)]

    if asynchronous:
        parts = asyncio.run(collect())
    else:
        parts = [part["data"] for part in graph.stream(said, THREAD, **options)]
    heard: dict[str, str] = {}
    for chunk, about in parts:
        assert isinstance(chunk, AIMessageChunk)
        heard[str(chunk.id)] = heard.get(str(chunk.id), "") + chunk.text
        assert (STANDS_IN in about) == (len(heard) == 2)
    user, reply = graph.get_state(THREAD).values["messages"]
    cut, whole = heard.values()
    assert cut == "I hear you, "
    assert list(heard)[-1] == reply.id
    assert whole == reply.text
    assert prepared(reply, "cut")
    assert user.text == SAID


# ----------------------------------------------------------------- what hangs


class Hanging(ScriptedModel):
    """Never answers the modules in `hung`, whatever its timeout."""

    hung: frozenset[str] = frozenset()
    _released: threading.Event = PrivateAttr(default_factory=threading.Event)

    def hangs(self, messages: list[BaseMessage]) -> bool:
        asked = recognise(messages[0].text)
        return not self.hung.isdisjoint({asked.key, asked.role})

    def release(self) -> None:
        self._released.set()

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        if self.hangs(messages):
            self._released.wait(60)
        return super()._generate(messages, *args, **kwargs)

    async def _agenerate(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> ChatResult:
        if self.hangs(messages):
            await asyncio.sleep(60)
        return await super()._agenerate(messages, *args, **kwargs)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["invoke", "ainvoke"])
@pytest.mark.parametrize(
    "hung", [{"tracker:action"}, {"tracker", "promoter", "generator"}], ids=["a lane", "all"]
)
def test_what_hangs_does_not_hold_the_turn(hung: set[str], asynchronous: bool) -> None:
    model = Hanging(hung=frozenset(hung))
    graph = create_cooper("esc", model=model, ranker=FakeRanker()).compile()
    said = {"messages": [HumanMessage(SAID)]}
    context = CooperContext(deadline=1.5 if "generator" in hung else 3)
    began = time.monotonic()
    if asynchronous:
        state = asyncio.run(graph.ainvoke(said, context=context))
    else:
        state = graph.invoke(said, context=context)
    assert time.monotonic() - began < 40
    model.release()
    both = [("tracker", "timeout"), ("promoter", "timeout")]
    if hung == {"tracker:action"}:
        assert faults(state) == {"action": both}
        assert state["messages"][-1].text == "I hear you, and I am glad you told me."
    else:
        assert faults(state) == {
            **dict.fromkeys(ESC.aspect_names, both),
            "cooper": [("generator", "timeout")],
        }
        assert prepared(state["messages"][-1], "timeout")
    assert not model.asked("promoter:action")


# ---------------------------------------------------------------- what ends a turn


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("tracker:comforting", ModelError("no key")),
        ("promoter:action", TaskError("the file is gone")),
        ("generator", ModelError("no key")),
        ("generator", TaskError("the file is gone")),
    ],
)
def test_what_a_person_must_mend_ends_the_turn_which_can_be_resumed(
    error: Exception, key: str, way: str
) -> None:
    talk = Talk(way, tracker_exploration=failing())
    talk.script[key] = error
    talk.model.delays = {"promoter:action": 0.3}  # until the other agents' trackers are done
    with pytest.raises(type(error), match=str(error)):
        talk.say(SAID)
    assert [message.text for message in talk.state["messages"]] == [SAID]
    del talk.script[key]
    talk.model.delays = {}
    state = talk.run(None)
    assert talk.reply.text == "I hear you, and I am glad you told me."
    assert faults(state) == {"exploration": [("tracker", "server")]}
    assert talk.asked("tracker:exploration") == 1 or key == "tracker:comforting"


def test_an_interrupt_is_no_fault(way: str) -> None:
    talk = Talk(way, tracker_action=lambda _: interrupt("May I?"))
    state = talk.say(SAID)
    assert len(state["messages"]) == 1
    state = talk.run(Command(resume="All is well."))
    assert state["action"]["state"] == "All is well."
    assert faults(state) == {}


async def test_a_cancelled_turn_is_no_fault() -> None:
    talk = Talk()
    talk.model.delay = 30
    task = asyncio.create_task(talk.graph.ainvoke({"messages": [HumanMessage(SAID)]}, THREAD))
    while not talk.state:
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(talk.state["messages"]) == 1


@pytest.mark.parametrize("role", ["tracker", "promoter"])
async def test_nothing_that_stands_in_is_trained_on(role: str) -> None:
    model = ScriptedModel(script={role: failing()})
    annotator = create_annotator(Resources(ESC, model, None, FakeRanker))
    said = [{"speaker": "user", "text": SAID}, {"speaker": "system", "text": "Oh."}]
    dialogue = Dialogue.model_validate({"id": "1", "utterances": said})
    with pytest.raises(ModelError, match="the model 'm' failed"):
        await annotate_dialogue(annotator, ESC, dialogue)
