"""Calibrated coordination in a conversation: marks, forks, edits, and the options of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_cooper.graph import CooperContext, create_cooper
from langgraph_cooper.nodes.choices import CHOICE, past_choices
from langgraph_cooper.nodes.errors import InputError
from langgraph_cooper.prompts import PASSIVE, load_task
from langgraph_cooper.ranker.data.dialogue import Utterance
from langgraph_cooper.ranker.model.calibration import Calibration
from tests.support.rankers import FakeRanker

ESC = load_task("esc").without_answers()
ASPECTS = (*ESC.aspect_names, PASSIVE)
QUOTA = Calibration(aspects=ASPECTS, offsets=((0.0,) * 4,), strength=1.0, quota=10.0, memory=1.0)
EXPECTED = {"exploration": 0.5, "comforting": 0.26, "action": 0.24, PASSIVE: 0.0}
LINES = ("I lost my job.", "It was last week.", "My boss never liked me.", "I cannot sleep.")
# The largest debt is paid first.
ORDER = ["exploration", "comforting", "action", "exploration"]
ALONE = ["comforting"] * 4


class Expecting(FakeRanker):
    """Prefers to comfort, and knows that people explore every other turn."""

    def __init__(self, calibration: Calibration | None = QUOTA) -> None:
        super().__init__(prefer=lambda candidate: float(candidate.aspect == "comforting"))
        self.calibration = calibration

    def expected(self, history: Sequence[Utterance]) -> dict[str, float]:
        return EXPECTED


class Talk:
    """A conversation with a saver."""

    def __init__(self, calibration: Calibration | None = QUOTA, **context: Any) -> None:
        graph = create_cooper(ESC, ranker=Expecting(calibration))
        self.graph = graph.compile(checkpointer=InMemorySaver())
        self.config: Any = {"configurable": {"thread_id": "one"}}
        self.context = CooperContext(**context)

    def say(self, line: str, config: Any = None) -> dict[str, Any]:
        said = {"messages": [HumanMessage(line)]}
        state: dict[str, Any] = self.graph.invoke(said, config or self.config, context=self.context)
        return state

    def firsts(self, lines: Sequence[str] = LINES) -> list[str]:
        return [self.say(line)["ranking"][0]["aspect"] for line in lines]


def test_the_shares_follow_what_is_expected() -> None:
    talk = Talk()
    assert talk.firsts() == ORDER
    assert Talk().firsts() == ORDER  # deterministic
    state = talk.graph.get_state(talk.config).values
    assert [choice.aspect for choice in past_choices(state["messages"])] == ORDER
    assert state["cooper"]["expected"] == EXPECTED


def test_the_ranking_explains_itself() -> None:
    first, *others = Talk().say(LINES[0])["ranking"]
    assert (first["aspect"], first["calibration"], first["lift"]) == ("exploration", 5.0, 1.0)
    assert first["score"] == others[0]["score"] == 1.0
    sums = [r["share"] + r["calibration"] for r in (first, *others)]
    assert sums[0] == max(sums)
    shares = {r["aspect"]: r["share"] for r in (first, *others)}
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-3)
    assert shares["comforting"] > shares["exploration"] == shares["action"]
    assert {r["aspect"]: r["calibration"] for r in others} == {
        "exploration": 5.0,
        "comforting": 2.6,
        "action": 2.4,
        PASSIVE: 0.0,
    }
    assert not any("lift" in r for r in others)
    # The others keep the ranker's order.
    assert [r["aspect"] for r in others[:2]] == ["comforting", "comforting"]
    assert [r["score"] for r in others] == sorted((r["score"] for r in others), reverse=True)


def test_off_is_the_rankers_own_order() -> None:
    talk = Talk(coordination="off")
    assert talk.firsts() == ALONE
    state = talk.graph.get_state(talk.config).values
    assert not any("calibration" in r or "share" in r for r in state["ranking"])
    assert "expected" not in state["cooper"]
    assert not past_choices(state["messages"])
    assert Talk(strength=0.0).firsts() == ALONE
    assert Talk(calibration=None).firsts() == ALONE


def test_a_calibration_that_is_not_the_default_has_to_be_asked_for() -> None:
    shy = QUOTA.model_copy(update={"default": False})
    assert Talk(shy).firsts(LINES[:1]) == ["comforting"]
    assert Talk(shy, coordination="calibrated").firsts(LINES[:1]) == ["exploration"]
    assert Talk(shy, strength=1.0).firsts(LINES[:1]) == ["exploration"]
    assert Talk(shy, strength=0.1).firsts(LINES[:1]) == ["comforting"]  # too weak


def test_a_ranker_without_a_calibration_cannot_be_asked_to() -> None:
    with pytest.raises(InputError, match=r"'fake' has no calibration.*cooper evaluate calibration"):
        Talk(None, coordination="calibrated").say(LINES[0])
    with pytest.raises(InputError, match="has no calibration"):
        Talk(None, strength=0.5).say(LINES[0])
    with pytest.raises(InputError, match="strength"):
        CooperContext(strength=2.0)


@pytest.mark.parametrize("other", ["off", "turns"])
def test_what_is_not_calibrated_has_no_strength(other: Any) -> None:
    with pytest.raises(InputError, match=f"calibrated coordination, not of '{other}'"):
        CooperContext(coordination=other, strength=0.9)


def test_a_fork_goes_by_its_own_past() -> None:
    talk = Talk()
    assert talk.firsts() == ORDER
    whole = [s for s in talk.graph.get_state_history(talk.config) if not s.next]
    early = next(s for s in whole if len(s.values["messages"]) == 2)
    forked = talk.say("Something else.", early.config)
    assert forked["ranking"][0]["aspect"] == ORDER[1]
    assert len(past_choices(forked["messages"])) == 2


def test_what_is_removed_or_rewritten_counts_no_more() -> None:
    talk = Talk()
    assert talk.firsts(LINES[:1]) == ORDER[:1]
    question, reply = talk.graph.get_state(talk.config).values["messages"]
    gone = [RemoveMessage(id=question.id), RemoveMessage(id=reply.id)]
    talk.graph.update_state(talk.config, {"messages": gone}, as_node="reply_guard")
    assert talk.say(LINES[1])["ranking"][0]["aspect"] == "exploration"  # as if it were the first
    last = talk.graph.get_state(talk.config).values["messages"][-1]
    own = AIMessage("These are my own words.", id=last.id)
    talk.graph.update_state(talk.config, {"messages": [own]}, as_node="reply_guard")
    assert talk.say(LINES[2])["ranking"][0]["aspect"] == "exploration"


def test_the_guards_own_words_take_nothing_up() -> None:
    talk = Talk()
    talk.say(LINES[0])
    state = talk.say("I want to kill myself.")
    assert CHOICE not in state["messages"][-1].response_metadata
    assert len(past_choices(state["messages"])) == 1


@pytest.mark.parametrize(
    "mark",
    [
        "comforting",
        {"aspect": 3, "expected": EXPECTED},
        {"aspect": "action"},
        {"aspect": "action", "expected": {"action": "much"}},
        {"aspect": "action", "expected": {"action": float("nan")}},
    ],
)
def test_an_unreadable_mark_is_left_out(mark: object) -> None:
    assert past_choices([AIMessage("Yes.", response_metadata={CHOICE: mark})]) == []


def test_without_coordination_the_agents_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ranker ranks nothing, and the mark of a calibration is not set."""
    talk = Talk(coordination="turns")

    def unasked(*_: object) -> Any:
        raise AssertionError("the ranker was asked")

    monkeypatch.setattr(Expecting, "score", unasked)
    monkeypatch.setattr(Expecting, "expected", unasked)
    state = talk.say(LINES[0])
    firsts = dict.fromkeys(candidate["aspect"] for candidate in state["ranking"])
    assert tuple(firsts) == ASPECTS
    assert [each["aspect"] for each in state["ranking"][:4]] == [*ASPECTS]
    assert "expected" not in state["cooper"]
    assert not state["cooper"].get("faults")
    assert CHOICE not in state["messages"][-1].response_metadata
