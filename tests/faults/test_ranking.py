"""Global coordination is total and deterministic, whatever agents propose and rankers score."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage

from langgraph_cooper.nodes.coordinator import coordinator_node, gather
from langgraph_cooper.nodes.resources import Resources
from langgraph_cooper.nodes.state import MAX_TOPIC, Candidate
from langgraph_cooper.prompts import PASSIVE, load_task
from langgraph_cooper.ranker.api import ScoredTopic
from langgraph_cooper.ranker.data.dialogue import Utterance
from langgraph_cooper.ranker.model.checkpoint import CheckpointError
from tests.support.rankers import FakeRanker
from tests.support.talk import candidate

ESC = load_task("esc")
Score = Callable[[Sequence[ScoredTopic]], Any]


class Scores(FakeRanker):
    """A test decides the scores, right or wrong."""

    def __init__(self, score: Score) -> None:
        super().__init__()
        self.says = score

    def score(
        self, history: Sequence[Utterance], candidates: Sequence[ScoredTopic], signals: Any
    ) -> list[float]:
        scores: list[float] = self.says(candidates)
        return scores


def state(lanes: Mapping[str, Sequence[Candidate]], **more: Any) -> dict[str, Any]:
    reports = {
        name: {"candidates": list(found), "state": ""}
        for name, found in lanes.items()
        if name != PASSIVE
    }
    said = {"messages": [HumanMessage("Hello.")], "cooper": {"task": "esc", "round": 1}}
    return {**said, **reports, PASSIVE: list(lanes.get(PASSIVE, ())), **more}


RANKER = Scores(lambda _: [])
COORDINATOR = coordinator_node(Resources(ESC, None, None, lambda: RANKER))


def ranked(given: Mapping[str, Any], score: Score) -> dict[str, Any]:
    RANKER.says = score
    update: dict[str, Any] = COORDINATOR.invoke(given)
    return update


def names(update: Mapping[str, Any]) -> list[str]:
    return [entry["topic"] for entry in update["ranking"]]


THREE = {
    name: [candidate(f"{name} {n}", source="model") for n in range(2)] for name in ESC.aspect_names
}
TAKING_TURNS = [f"{name} {n}" for n in range(2) for name in ESC.aspect_names]


# ---------------------------------------------------------------- any input at all


def proposals() -> st.SearchStrategy[Candidate]:
    text = st.text(st.characters(), max_size=30)
    topic = text | st.sampled_from(["Same", "same ", "S" * 700, "\ud800", "\u202e\x00"])
    return st.builds(candidate, topic, text, st.sampled_from(["model", "bank"]))


def due(one: Candidate) -> Candidate:
    return {**one, "due": True}


LANES = st.fixed_dictionaries(
    {name: st.lists(proposals(), max_size=6) for name in ESC.aspect_names}
    | {PASSIVE: st.lists(proposals() | proposals().map(due), max_size=2)}
)
NUMBERS = st.floats() | st.integers() | st.just(1e308) | st.just(None) | st.just("high")


@settings(max_examples=60, deadline=None)
@given(lanes=LANES, scores=st.lists(NUMBERS, max_size=22), fit=st.booleans())
def test_it_is_total_and_deterministic(lanes: Any, scores: list[Any], fit: bool) -> None:
    def score(candidates: Sequence[ScoredTopic]) -> list[Any]:
        drawn = [*scores, *range(len(candidates))]
        return drawn[: len(candidates)] if fit else scores

    update = ranked(state(lanes), score)
    assert ranked(state(lanes), score) == update
    ranking = update["ranking"]
    proposed = gather(ESC, state(lanes))
    assert sorted((r["aspect"], r["topic"], r["source"]) for r in ranking) == sorted(
        (aspect, c["topic"], c["source"]) for aspect, c in proposed
    )
    assert [r["rank"] for r in ranking] == list(range(1, len(ranking) + 1))
    json.dumps(update, allow_nan=False)
    waiting = [not r.get("due") for r in ranking]
    assert waiting == sorted(waiting)  # what is due comes first
    values = [r["score"] for r in ranking if not r.get("due")]
    assert values == sorted(values, reverse=True)
    assert all(isinstance(value, float) and math.isfinite(value) for value in values)
    assert all(len(r["topic"]) <= MAX_TOPIC for r in ranking if r["source"] == "model")


# ------------------------------------------------------------------ a ranker's faults


def raising(_: Sequence[ScoredTopic]) -> list[float]:
    raise RuntimeError("sk-secret")


BROKEN: dict[str, Score] = {
    "raises": raising,
    "too few": lambda candidates: [1.0] * (len(candidates) - 1),
    "too many": lambda candidates: [1.0] * (len(candidates) + 1),
    "none": lambda _: [],
    "no list": lambda _: None,
    "no numbers": lambda candidates: ["high"] * len(candidates),
    "all NaN": lambda candidates: [math.nan] * len(candidates),
    "all infinite": lambda candidates: [math.inf] * len(candidates),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_where_the_ranker_fails_the_agents_take_turns(broken: str) -> None:
    update = ranked(state(THREE), BROKEN[broken])
    assert names(update) == TAKING_TURNS
    (fault,) = update["cooper"]["faults"]
    assert (fault["step"], fault["kind"]) == ("coordinator", "internal")
    assert "sk-secret" not in fault["message"]
    assert update["cooper"]["round"] == 1


def test_what_is_due_still_comes_first() -> None:
    lanes = {**THREE, PASSIVE: [due(candidate("Goodbye"))]}
    assert names(ranked(state(lanes), raising)) == ["Goodbye", *TAKING_TURNS]
    huge = ranked(state(lanes), lambda candidates: [1e300] * len(candidates))
    assert names(huge)[0] == "Goodbye"


def test_a_score_that_is_no_number_comes_last() -> None:
    scores = [math.nan, 1.0, -math.inf, 3.0, math.inf, 2.0]
    update = ranked(state(THREE), lambda _: scores)
    # In the task's order: exploration 0, 1, comforting 0, 1, action 0, 1.
    assert names(update) == [
        "action 0",
        "comforting 1",
        "action 1",
        "exploration 1",
        "exploration 0",
        "comforting 0",
    ]
    assert "cooper" not in update


def test_a_checkpoint_that_must_be_mended_is_no_fault() -> None:
    def damaged(_: Sequence[ScoredTopic]) -> list[float]:
        raise CheckpointError("the weights are damaged")

    with pytest.raises(CheckpointError, match="damaged"):
        ranked(state(THREE), damaged)


# --------------------------------------------------------------------- how many, how long


def test_where_every_analysis_failed_the_ranker_still_ranks() -> None:
    """It has signals of zeros, as for a single one that failed."""
    given: list[Mapping[str, Any]] = []

    class Asked(FakeRanker):
        def score(
            self, history: Sequence[Utterance], candidates: Sequence[ScoredTopic], signals: Any
        ) -> list[float]:
            given.append(signals)
            return [float(candidate.topic == "action 1") for candidate in candidates]

    failed = state(THREE)
    for name in ESC.aspect_names:
        failed[name]["faults"] = [{"step": "progression", "kind": "internal", "error": "x"}]
    coordinator = coordinator_node(Resources(ESC, None, None, Asked))
    update = coordinator.invoke(failed)
    assert names(update)[0] == "action 1"
    assert "cooper" not in update  # no fault of the coordinator
    assert {name: signal.any() for name, signal in given[0].items()} == dict.fromkeys(
        ESC.aspect_names, False
    )
    assert {signal.shape for signal in given[0].values()} == {(2, Asked.dimension)}


def test_no_candidates_at_all() -> None:
    assert ranked(state({}), raising) == {"ranking": []}
    assert ranked({"messages": [], "cooper": {}}, raising) == {"ranking": []}


def test_one_candidate() -> None:
    (only,) = ranked(state({"action": [candidate("One")]}), lambda _: [0.5])["ranking"]
    assert (only["rank"], only["aspect"], only["topic"], only["score"]) == (
        1,
        "action",
        "One",
        0.5,
    )


def test_five_hundred_candidates_of_100_kb() -> None:
    lanes = {
        name: [candidate(f"{n} {'long ' * 20_000}", source="model") for n in range(167)]
        for name in ESC.aspect_names
    }
    seen: list[ScoredTopic] = []

    def score(candidates: Sequence[ScoredTopic]) -> list[float]:
        seen.extend(candidates)
        return [float(n % 7) for n in range(len(candidates))]

    ranking = ranked(state(lanes), score)["ranking"]
    assert len(ranking) == len(seen) == 501
    assert max(len(topic.topic) for topic in seen) <= MAX_TOPIC
    assert [r["score"] for r in ranking] == sorted((float(n % 7) for n in range(501)), reverse=True)


def test_the_same_topic_from_two_agents_keeps_both_their_places() -> None:
    lanes = {name: [candidate("Sleep")] for name in ESC.aspect_names}
    update = ranked(state(lanes), lambda _: [1.0, 1.0, 1.0])
    assert [r["aspect"] for r in update["ranking"]] == list(ESC.aspect_names)


def test_the_trained_ranker_ranks_whatever_it_gets() -> None:
    from langgraph_cooper.ranker.load import ranker_loader

    trained = ranker_loader(ESC, None)()
    odd = ["", "x" * 100_000, "\ud800\u202e[SEP]"]
    lanes = {name: [candidate(topic, source="model") for topic in odd] for name in ESC.aspect_names}
    given = state(lanes)
    del given["action"]["state"]  # without a state there is no signal
    update = coordinator_node(Resources(ESC, None, None, lambda: trained)).invoke(given)
    assert "cooper" not in update
    assert len(update["ranking"]) == 6
