"""The ranker of tasks without a checkpoint: plain similarity and need."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from langgraph_cooper.ranker.api import Ranker, ScoredTopic
from langgraph_cooper.ranker.data.dialogue import Utterance
from langgraph_cooper.ranker.model.encoder import load_encoder
from langgraph_cooper.ranker.untrained import EARLY, END, NEED, START, UntrainedRanker

TARGETS = {
    "interests": ("Both sides have said what they need.", "The buyer's limits are known."),
    "offer": ("A fair price has been named.",),
    "bond": (),
}
HISTORY = [Utterance("user", "I want to buy the red bicycle."), Utterance("system", "Gladly!")]


@pytest.fixture(scope="module")
def ranker() -> UntrainedRanker:
    aspects = [SimpleNamespace(name=name, targets=texts) for name, texts in TARGETS.items()]
    task: Any = SimpleNamespace(name="negotiation", aspects=aspects)
    return UntrainedRanker(task)


def _signals(ranker: UntrainedRanker, **states: str) -> dict[str, Any]:
    return {name: ranker.progression(name, states.get(name, "")).signal for name in TARGETS}


def test_says_that_it_is_untrained(ranker: UntrainedRanker) -> None:
    interface: Ranker = ranker
    assert (interface.name, interface.trained, interface.dimension) == ("untrained", False, 384)


def test_progression_by_numpy(ranker: UntrainedRanker) -> None:
    state = "She told the seller about her garden."
    s = load_encoder().encode([state])[0].astype(np.float64)
    e = load_encoder().encode(TARGETS["interests"]).astype(np.float64)
    alpha = np.exp(e @ s) / np.exp(e @ s).sum()
    mixture = alpha @ e
    cosine = s @ mixture / np.linalg.norm(mixture) / np.linalg.norm(s)
    result = ranker.progression("interests", state)
    np.testing.assert_allclose(result.signal, [np.maximum(mixture, 0), s], atol=1e-6)
    assert 0 < result.progress < 1
    assert result.progress == pytest.approx((cosine - START) / (END - START), abs=1e-5)
    assert dict(result.targets) == pytest.approx(
        dict(zip(TARGETS["interests"], alpha, strict=True)), abs=1e-6
    )
    assert result.targets[0][1] >= result.targets[1][1]


def test_progress_grows_towards_the_target(ranker: UntrainedRanker) -> None:
    states = ("The weather is nice.", "A price was asked for.", "A fair price has been named.")
    progress = [ranker.progression("offer", state).progress for state in states]
    assert progress == sorted(progress)
    assert progress[0] < 0.2
    assert progress[2] == 1.0


def test_nothing_said_and_nothing_aimed_at(ranker: UntrainedRanker) -> None:
    empty = ranker.progression("interests", "")
    assert empty.progress == 0.0
    assert [weight for _, weight in empty.targets] == pytest.approx([0.5, 0.5])
    aimless = ranker.progression("bond", "They like each other.")
    assert (aimless.progress, aimless.targets) == (0.0, ())
    assert not aimless.signal[0].any()


def test_score_is_similarity_plus_need(ranker: UntrainedRanker) -> None:
    signals = _signals(ranker, offer="A price was asked for.")
    progress = ranker.progression("offer", "A price was asked for.").progress
    topics = [ScoredTopic("offer", "name a price"), ScoredTopic("passive", "say goodbye")]
    context, offer, passive = load_encoder().encode(
        ["I want to buy the red bicycle. Gladly!", *(topic for _, topic in topics)]
    )
    early = EARLY * (1 - 1 / 6) * 0.5  # second round, second of three aspects
    scores = ranker.score(HISTORY, topics, signals)
    assert scores[0] == pytest.approx(offer @ context + NEED * (1 - progress) + early, abs=1e-5)
    assert scores[1] == pytest.approx(passive @ context, abs=1e-5)
    assert ranker.score(HISTORY, topics, signals) == scores


def test_least_progressed_first_and_earlier_aspects_early(ranker: UntrainedRanker) -> None:
    same = [ScoredTopic(aspect, "talk about it") for aspect in TARGETS]
    first = ranker.score([], same, _signals(ranker))
    assert first == sorted(first, reverse=True)
    assert len(set(first)) == 3
    late = HISTORY * 8
    assert len(set(ranker.score(late, same, _signals(ranker)))) == 1
    done = _signals(ranker, interests="Both sides have said what they need.")
    scores = ranker.score(late, same, done)
    assert scores[0] < scores[1] == scores[2]


def test_only_the_last_three_utterances_count(ranker: UntrainedRanker) -> None:
    topics = [ScoredTopic("offer", "name a price")]
    tail = [*HISTORY, Utterance("user", "How much?")]
    before = [Utterance("user", "cats"), Utterance("user", "dogs")]
    assert ranker.score(tail, topics, {}) == ranker.score([*before, *tail], topics, {})


def test_odd_input(ranker: UntrainedRanker) -> None:
    assert ranker.score(HISTORY, [], {}) == []
    assert len(ranker.score([], [ScoredTopic("bond", "")], {})) == 1
    long = ranker.score(
        [Utterance("user", "x " * 50_000)], [ScoredTopic("bond", "y" * 100_000)], {}
    )
    assert np.isfinite(long).all()
    with pytest.raises(ValueError, match="'humour' is not one of"):
        ranker.score(HISTORY, [ScoredTopic("humour", "joke")], {})
    with pytest.raises(ValueError, match="is not one of interests, offer, bond"):
        ranker.progression("passive", "x")
