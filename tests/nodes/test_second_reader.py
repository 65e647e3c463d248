"""The guard's second reader: a chat model reads what the classifier is not certain of."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, SystemMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph import create_cooper, load_task
from langgraph_cooper.nodes.context import CooperContext
from langgraph_cooper.nodes.crisis import reading
from langgraph_cooper.nodes.crisis.course import EARLIER, Finding, ToRead
from langgraph_cooper.nodes.errors import ModelError
from langgraph_cooper.nodes.llm.call import UnreadableError
from langgraph_cooper.nodes.llm.crisis import llm_crisis_reader, read_finding
from langgraph_cooper.nodes.llm.material import tokens_of
from langgraph_cooper.nodes.second_reader import (
    MOST_CHARACTERS,
    MOST_READ,
    Opinions,
    SecondReader,
)
from langgraph_cooper.prompts import help_texts
from tests.support.processes import forked
from tests.support.rankers import FakeRanker
from tests.support.scripted import ScriptedModel

ESC = load_task("esc")
HINT = "I gave my records away, nobody will need them"
HARMLESS = "I could murder a pizza"
SURE = "I am going to kill myself tonight."
ASK = help_texts().ask["suicide"][0]


@pytest.fixture(autouse=True)
def first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first reader misses the hint, and asks about the harmless line."""

    def read(text: str, said: Sequence[str] = (), *, rarer: float = 0.0) -> Finding:
        if text.endswith(HARMLESS):
            return Finding("concern", "violence")
        return reading.read_phrases(text)

    def doubts(text: str, said: Sequence[str] = ()) -> Any:
        return {HINT: "suicide", HARMLESS: "violence"}.get(text)

    monkeypatch.setattr(reading, "shipped_reader", lambda: read)
    monkeypatch.setattr(reading, "doubts", doubts)


def graph_with(answer: Any, **options: Any) -> tuple[Any, ScriptedModel]:
    model = ScriptedModel(script={"guard": answer})
    graph = create_cooper("esc", guard_model=model, ranker=FakeRanker())
    return graph.compile(**options), model


def say(*texts: str) -> dict[str, Any]:
    return {"messages": [HumanMessage(text) for text in texts]}


async def invoked(graph: Any, given: dict[str, Any], *, sync: bool) -> dict[str, Any]:
    state: dict[str, Any] = graph.invoke(given) if sync else await graph.ainvoke(given)
    return state


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize(
    ("said", "answer", "tier"),
    [
        (HINT, "concern suicide", "concern"),
        (HINT, "concern", "concern"),  # the kind is the classifier's
        (HINT, "certain: suicide.", "certain"),
        (HARMLESS, "none", "none"),
    ],
)
async def test_its_opinion_counts(said: str, answer: str, tier: str, sync: bool) -> None:
    graph, model = graph_with(answer)
    state = await invoked(graph, say(said), sync=sync)
    assert state["guard"]["tier"] == tier
    assert state["guard"].get("kind") == (None if tier == "none" else "suicide")
    assert state["messages"][-1].text.startswith(ASK) == (tier == "concern")
    (call,) = model.asked("guard")
    assert said in call.messages[1].text
    assert "faults" not in state["cooper"]


def test_what_is_sure_is_not_put_to_it() -> None:
    graph, model = graph_with("none")
    assert graph.invoke(say(SURE))["guard"]["fired"]
    assert graph.invoke(say("My cat is ill."))["guard"]["tier"] == "none"
    assert model.calls == []


@pytest.mark.parametrize("sync", [True, False])
async def test_neither_opinion_nor_fault_takes_the_help_text_away(sync: bool) -> None:
    """Also beside other messages, in a running crisis, and where a phrase is split over two."""
    graph, model = graph_with(ModelError("the key is refused", "configuration"))
    assert (await invoked(graph, say(HINT, SURE), sync=sync))["guard"]["fired"]
    split = say("I want to", "kill myself")
    assert (await invoked(graph, split, sync=sync))["guard"]["fired"]
    kept, _ = graph_with("none", checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "one"}}
    assert kept.invoke(say(SURE), config)["guard"]["fired"]
    after = kept.invoke(say(HARMLESS), config)
    assert after["guard"]["fired"]
    assert model.calls == []


def test_a_release_needs_the_first_reader() -> None:
    kept, _ = graph_with("none", checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "one"}}
    kept.invoke(say(SURE), config)
    still = f"I am safe now. {HARMLESS}"
    assert kept.invoke(say(still), config)["guard"]["fired"]
    assert not kept.invoke(say("I am safe now."), config)["guard"]["fired"]


async def test_a_turn_that_is_left_asks_no_more() -> None:
    model = ScriptedModel(script={"guard": "none"}, delays={"guard": 30.0})
    graph = create_cooper("esc", guard_model=model, ranker=FakeRanker()).compile()
    turn = asyncio.create_task(graph.ainvoke(say(HINT, HARMLESS)))
    await asyncio.sleep(1.0)
    turn.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await turn
    assert time.monotonic() - began < 5
    assert model.calls == []


async def test_its_words_are_not_streamed() -> None:
    graph, _ = graph_with("concern suicide")
    streamed = [
        piece.content async for piece, _ in graph.astream(say(HINT), stream_mode="messages")
    ]
    assert "concern" not in "".join(map(str, streamed))


def test_a_long_message_is_not_put_to_it() -> None:
    reader = SecondReader(lambda: RunnableLambda(lambda _: Finding()), lambda *_: "suicide")
    short = ToRead("short")
    assert reader.unknown([ToRead("a " * MOST_CHARACTERS), short]) == [short]


def test_an_opinion_is_remembered_and_few_messages_are_read() -> None:
    graph, model = graph_with("none")
    for _ in range(2):
        assert graph.invoke(say(HARMLESS))["guard"]["tier"] == "none"
    # What was said before the last reply is not read, and an opinion on it counts all the same.
    said = [HumanMessage(HARMLESS), AIMessage("Oh?"), HumanMessage("The one with olives.")]
    assert graph.invoke({"messages": said})["guard"]["tier"] == "none"
    assert len(model.asked("guard")) == 1
    reader = SecondReader(lambda: RunnableLambda(lambda _: Finding()), lambda *_: "suicide")
    messages = [ToRead(str(number)) for number in range(9)]
    assert reader.unknown([*messages, *messages]) == messages[: -MOST_READ - 1 : -1]


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize(
    "answer", ["I'm sorry, I cannot help.", ModelError("it is down", "connection")]
)
async def test_if_it_fails_the_classifier_decides_and_the_state_tells(
    answer: Any, sync: bool
) -> None:
    graph, _ = graph_with(answer)
    state = await invoked(graph, say(HARMLESS), sync=sync)
    assert state["guard"]["tier"] == "concern"
    assert [fault["step"] for fault in state["cooper"]["faults"]] == ["guard"]


@pytest.mark.parametrize("sync", [True, False])
async def test_a_fault_that_a_person_must_mend_ends_the_turn(sync: bool) -> None:
    graph, _ = graph_with(ModelError("the key is refused", "configuration"))
    with pytest.raises(ModelError, match="the key is refused"):
        await invoked(graph, say(HINT), sync=sync)


@pytest.mark.parametrize("sync", [True, False])
async def test_no_fault_takes_the_question_away(sync: bool) -> None:
    graph, _ = graph_with(ModelError("the key is refused", "configuration"))
    state = await invoked(graph, say(HARMLESS), sync=sync)
    assert state["guard"]["tier"] == "concern"
    assert help_texts().ask["violence"][0] in state["messages"][-1].text
    assert [fault["step"] for fault in state["cooper"]["faults"]] == ["guard"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forks beside threads
def test_a_child_forked_while_it_is_made_reads() -> None:
    begun, over, parent = threading.Event(), threading.Event(), os.getpid()

    def make() -> RunnableLambda[ToRead, Finding]:
        if os.getpid() == parent:
            begun.set()
            over.wait(60)
        return RunnableLambda(lambda _: Finding("concern", "other"))

    def work() -> list[Any]:
        faulthandler.dump_traceback_later(30, exit=True)
        message = ToRead("a")
        return [reader.read([message], {}), *reader.opinions().found[message.digest][:2]]

    reader = SecondReader(make, lambda *_: "suicide")
    making = threading.Thread(target=reader.prepare)
    making.start()
    try:
        assert begun.wait(30)
        assert forked(work) == (0, [None, "concern", "other"])
    finally:
        over.set()
        making.join()


def test_its_model_cannot_be_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ModelError, match="guard_model is empty"):
        create_cooper("esc", guard_model=" ")
    with pytest.raises(ModelError, match="has no guard"):
        create_cooper("examples/negotiation.toml", guard_model="some-model")
    graph = create_cooper("esc", guard_model="some-model", ranker=FakeRanker()).compile()
    assert graph.invoke(say("My cat is ill."))["guard"]["tier"] == "none"
    with pytest.raises(ModelError, match="OPENAI_API_KEY"):
        graph.invoke(say(HINT))


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        ("none", Finding()),
        ("None.", Finding()),
        ("**concern** self-harm", Finding("concern", "self_harm")),
        ("certain danger", Finding("certain", "danger")),
        ("Concern (selfharm)", Finding("concern", "self_harm")),
        ("<think>certain suicide?</think>none", Finding()),
        ("concern", Finding("concern", None)),
        ("The message shows concern: other", Finding("concern", "other")),
        ("concern suicide\nconcern suicide", Finding("concern", "suicide")),
    ],
)
def test_an_answer_is_read(answer: str, finding: Finding) -> None:
    assert read_finding(answer) == finding


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "I cannot say.",
        "uncertain suicide",
        "Not certain, but a concern",
        "It is not none: certain",
    ],
)
def test_an_answer_that_names_no_tier_or_several_is_unreadable(answer: str) -> None:
    with pytest.raises(UnreadableError):
        read_finding(answer)


def test_a_certain_crisis_is_never_cleared() -> None:
    read = Opinions({ToRead(SURE).digest: Finding()}).over(
        lambda text, said=(): reading.read_phrases(text)
    )
    assert read(SURE) == Finding("certain", "suicide")


def test_an_opinion_is_of_a_message_after_what_was_said_before() -> None:
    def first(text: str, said: Sequence[str] = ()) -> Finding:
        return Finding("concern", "danger")

    puppy = ["We got a puppy.", "All teeth."]
    read = Opinions({ToRead.after(puppy, HINT).digest: Finding()}).over(first)
    assert read(HINT, puppy) == Finding()
    assert read(HINT, ["My husband drinks."]) == Finding("concern", "danger")
    assert read(HINT) == Finding("concern", "danger")
    # Only the last few are read.
    assert read(HINT, ["Hello."] * (EARLIER - 2) + puppy) == Finding("concern", "danger")
    long = ["Hello."] * EARLIER
    read = Opinions({ToRead.after(long, HINT).digest: Finding()}).over(first)
    assert read(HINT, ["Good evening.", *long]) == Finding()


@pytest.mark.parametrize("sync", [True, False])
async def test_it_is_shown_what_the_user_said_before(sync: bool) -> None:
    graph, model = graph_with("none", checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "one"}}
    for text in ("We cook a lot.", "Italian, mostly.", HARMLESS):
        if sync:
            state = graph.invoke(say(text), config)
        else:
            state = await graph.ainvoke(say(text), config)
    assert state["guard"]["tier"] == "none"
    (call,) = model.asked("guard")
    shown = call.messages[1].text
    before, last = shown.index("We cook a lot."), shown.index(HARMLESS)
    assert before < shown.index("Italian, mostly.") < last
    assert state["messages"][1].text not in shown  # the replies are left out


def test_messages_of_one_turn_are_read_in_their_order() -> None:
    graph, model = graph_with("none")
    graph.invoke(say("We cook a lot.", HARMLESS))
    (call,) = model.asked("guard")  # the two joined are not doubted here
    shown = call.messages[1].text
    assert shown.index("- We cook a lot.") < shown.index(HARMLESS)


def test_what_was_said_before_a_release_is_not_shown() -> None:
    graph, model = graph_with("none", checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "one"}}
    for text in (SURE, "I am safe now.", "Good to talk to you.", HARMLESS):
        state = graph.invoke(say(text), config)
    assert state["guard"]["tier"] == "none"
    (call,) = model.asked("guard")
    assert "Good to talk to you." in call.messages[1].text
    assert SURE not in call.messages[1].text


@pytest.mark.parametrize("reply", [True, False])
def test_its_opinion_is_found_after_a_release_whose_turn_failed(reply: bool) -> None:
    """And where a host's message, or a turn without a reply, stands between two messages."""
    graph, model = graph_with("none", checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "one"}}
    for text in (SURE, "I am safe now."):
        state = graph.invoke(say(text), config)
    last = state["messages"][-1]
    if not reply:
        graph.update_state(config, {"messages": [RemoveMessage(last.id)]}, as_node="intake")
    state = graph.invoke(
        {"messages": [SystemMessage("Be kind."), *say(HARMLESS)["messages"]]}, config
    )
    assert state["guard"]["tier"] == "none"
    assert len(model.asked("guard")) == 1


def test_a_prompt_with_much_before_keeps_the_message() -> None:
    model = ScriptedModel(script={"guard": "none"})
    reader = llm_crisis_reader(ESC, model)
    said = [f"{number} " + "слово " * 200 for number in range(EARLIER)]
    reader.invoke(ToRead.after(said, HINT))
    (call,) = model.asked("guard")
    assert HINT in call.messages[1].text
    assert "- 5 слово" in call.messages[1].text
    assert tokens_of(call.messages) <= CooperContext().prompt_tokens


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("I sorted out who gets the cat", True),
        ("My boss is mean to everybody in the office.", True),
        ("I'm not suicidal, but I am", True),
        ("мне незачем", True),  # the classifier reads English alone
        ("不想活", True),
        ("hello", False),
        ("...", False),
        ("I want to die", False),
    ],
)
def test_it_reads_all_but_what_is_certain_or_too_short(
    text: str, read: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    assert (reading.doubts(text) is not None) == read
