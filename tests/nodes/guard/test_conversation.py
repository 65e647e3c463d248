"""Messages are read after those before them, joined, and as answers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from langgraph_cooper.nodes.crisis.course import Finding
from langgraph_cooper.nodes.guard import guard_node, released
from tests.nodes.guard.talks import ESC, said


async def test_an_old_unread_message_split_words_and_blocks_are_read() -> None:
    node = guard_node(ESC)
    unread = [HumanMessage("I want to end my life"), HumanMessage("Hello?")]
    assert node.invoke({"messages": unread})["guard"]["fired"]
    assert node.invoke(said("I want to", "kill", "myself"))["guard"]["fired"]
    blocks = HumanMessage([{"type": "text", "text": "I want to "}, {"type": "text", "text": "die"}])
    assert (await node.ainvoke({"messages": [blocks]}))["guard"]["fired"]
    assert node.invoke({"messages": [HumanMessage(["I want", " to die"])]})["guard"]["fired"]


def test_a_phrase_split_over_messages_that_came_together_is_read() -> None:
    state = said("i want to")
    more = [AIMessage("Go on.", id="s"), HumanMessage("die", id="a"), HumanMessage("ok", id="b")]
    assert guard_node(ESC).invoke({"messages": [*state["messages"], *more]})["guard"]["fired"]


class Recorder:
    """A reader that remembers what it was told had been said before each message."""

    def __init__(self) -> None:
        self.before: dict[str, list[str]] = {}

    def __call__(self, text: str, said: Sequence[str] = ()) -> Finding:
        self.before[text] = [*said]
        return Finding("certain", "suicide") if text == "I want to die" else Finding()


@pytest.mark.parametrize("kept", [True, False])
def test_each_message_is_read_after_those_before_it(kept: bool) -> None:
    """In one turn and over turns; also inside another graph, which has no state."""
    recorder = Recorder()
    node = guard_node(ESC, recorder)
    first = said("One.", "Two.")
    guard = node.invoke(first)["guard"]
    assert recorder.before == {"One.": [], "Two.": ["One."]}
    reply = AIMessage("Oh.", id="r")
    messages = [*first["messages"], reply, HumanMessage("Three.", id="t")]
    node.invoke({"messages": messages, **({"guard": guard} if kept else {})})
    assert recorder.before["Three."] == ["One.", "Two."]
    if kept:  # a host may keep the last messages alone
        node.invoke({"messages": [*messages[1:], HumanMessage("Four.", id="f")], "guard": guard})
        assert recorder.before["Four."] == ["Two.", "Three."]


def test_what_was_said_before_a_release_counts_no_more() -> None:
    recorder = Recorder()
    node = guard_node(ESC, recorder)
    state = said("Hello.", "I want to die")
    state["guard"] = node.invoke(state)["guard"]
    state["messages"] += [AIMessage("Help.", id="h")]
    state |= released(state)
    state["messages"] += [HumanMessage("Better.", id="b")]
    state["guard"] = node.invoke(state)["guard"]
    state["messages"] += [AIMessage("Good.", id="g"), HumanMessage("Yes.", id="y")]
    node.invoke(state)
    assert recorder.before["Better."] == []
    assert recorder.before["Yes."] == ["Better."]


def test_who_does_judo_is_not_asked_whether_somebody_hurts_them() -> None:
    pinned = "he pinned me down and i could hardly breathe"
    judo = said("we do judo on mondays", "my partner is a heavyweight", pinned)
    ex = said("my ex was waiting at my door last night", pinned)
    assert guard_node(ESC).invoke(judo)["guard"]["tier"] == "none"
    assert guard_node(ESC).invoke(ex)["guard"]["tier"] != "none"


def test_of_a_conversation_that_is_brought_along_the_end_is_read() -> None:
    read: list[str] = []
    node = guard_node(ESC, lambda text, said=(): (read.append(text), Finding())[1])
    node.invoke(said(*(f"Line {number}." for number in range(2_500))))
    assert [text for text in read if text.startswith("Line")] == [
        f"Line {number}." for number in range(2_300, 2_500)
    ]
    read.clear()
    node.invoke(said(*(f"{number} {'word ' * 4_000}" for number in range(20)), "Hello."))
    assert len(read) == 1 + 4  # with the last message, which is short
    read.clear()
    node.invoke(said("I want to die", "word " * 30_000, "Hello."))
    assert "I want to die" in read  # a long message hides nothing before it
    ends = f"It rained. {'It rained. ' * 100_000} I want to die."
    assert guard_node(ESC).invoke(said(ends))["guard"]["fired"]


@pytest.mark.parametrize(
    ("crisis", "kind", "safe"),
    [
        ("I want to die", "suicide", "I'm safe, can we go on talking?"),
        ("I keep cutting myself", "self_harm", "Yes, I am safe now. Let's go on."),
        ("My husband beats me", "danger", "We are all safe."),
        ("My sister wants to kill herself", "other", "Yes, they are safe."),
        ("My sister wants to kill herself", "other", "She is safe, can we go on talking?"),
        ("I am going to kill my boss", "violence", "Everybody is safe."),
        ("I am going to kill my boss", "violence", "Yes, he is."),
    ],
)
def test_the_answer_to_the_kinds_own_question_lifts_it(crisis: str, kind: str, safe: str) -> None:
    node = guard_node(ESC)
    talk: list[AnyMessage] = [HumanMessage(crisis, id="c")]
    update = node.invoke({"messages": talk})
    assert update["guard"]["kind"] == kind
    for number, (text, fires) in enumerate({"hm": True, safe: False}.items()):
        talk = [*talk, *update["messages"], HumanMessage(text, id=f"u{number}")]
        update = node.invoke({"messages": talk, "guard": update["guard"]})
        assert update["guard"]["fired"] is fires


@pytest.mark.parametrize(
    ("question", "tier"),
    [
        ("Did your uncle kill himself?", "concern"),
        ("Was he thinking about suicide when you last saw him?", "concern"),
        ("Did you try to kill yourself?", "certain"),
        ("Is he thinking about killing himself?", "certain"),
    ],
)
def test_a_yes_about_somebody_elses_past_is_no_certain_crisis(question: str, tier: str) -> None:
    messages = [HumanMessage("Hello"), AIMessage(question), HumanMessage("Yes.")]
    assert guard_node(ESC).invoke({"messages": messages})["guard"]["tier"] == tier


@pytest.mark.parametrize(("answer", "fired"), [("yes", True), ("sometimes", True), ("No.", False)])
def test_a_question_about_it_is_not_answered_lightly(answer: str, fired: bool) -> None:
    asked = AIMessage("I see. Do you ever think of hurting yourself?")
    state = {"messages": [HumanMessage("I feel low"), asked, HumanMessage(answer)]}
    assert guard_node(ESC).invoke(state)["guard"]["fired"] == fired


def test_a_softened_denial_is_believed() -> None:
    assert not guard_node(ESC).invoke(said("i don't want to die though"))["guard"]["fired"]
    assert guard_node(ESC).invoke(said("i don't want to die though"))["guard"]["tier"] == "none"
