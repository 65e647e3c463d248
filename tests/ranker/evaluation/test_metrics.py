"""Metrics: perfect rankings, nothing relevant, few candidates, NaN, bootstrap."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from langgraph_cooper.ranker.data.dialogue import AnnotatedTurn
from langgraph_cooper.ranker.data.labels import LabelledTurn, rank_labels
from langgraph_cooper.ranker.evaluation.metrics import (
    Bootstrap,
    hit,
    measure,
    ndcg,
    precision,
    ranking,
    turn_gains,
)


def turn(hits: list[bool], similarity: list[float]) -> LabelledTurn:
    flags, values = np.array(hits), np.array(similarity, np.float32)
    return LabelledTurn(
        dialogue=0,
        turn=AnnotatedTurn(index=0, states={}, candidates=()),
        round=1,
        labels=rank_labels(flags, values),
        hits=flags,
        similarity=values,
        promoted=frozenset(),
    )


def test_ranking_breaks_ties_by_position_and_puts_nan_last() -> None:
    assert ranking([0.5, float("nan"), 0.5, 0.9]).tolist() == [3, 0, 2, 1]


def test_hit_and_precision_by_hand() -> None:
    scores, labels, hits = [0.9, 0.8, 0.1], [2, 3, 1], [False, True, True]
    assert [hit(scores, labels, n) for n in (1, 2, 3)] == [0.0, 1.0, 1.0]
    assert [precision(scores, hits, n) for n in (1, 2, 3)] == pytest.approx([0, 1 / 2, 2 / 3])


def test_ndcg_by_hand() -> None:
    discount = 1 / np.log2(3)
    assert ndcg([0.1, 0.9], [1.0, 0.0], 5) == pytest.approx(discount)
    assert ndcg([1.0, 2.0, 3.0], [0.0, 1.0, 3.0], 2) == pytest.approx(1.0)


def test_a_perfect_ranking_is_one() -> None:
    turns = [turn([True, False, True, False, True, False], [0.1, 0.9, 0.5, 0.2, 0.3, -0.4])] * 2
    figures = measure(turns, [t.labels for t in turns]).means()
    assert figures["hit@1"] == figures["precision@1"] == figures["precision@3"] == 1.0
    assert figures["ndcg@5"] == pytest.approx(1.0)


def test_nothing_relevant_counts_zero_alone_and_in_a_batch() -> None:
    none, some = turn([False, False], [0.0, 0.0]), turn([True, False], [0.5, 0.0])
    alone = measure([none], [[1.0, 2.0]])
    batch = measure([none, some], [[1.0, 2.0], [2.0, 1.0]])
    assert alone.means()["precision@1"] == alone.means()["ndcg@5"] == 0.0
    assert batch.ndcg.tolist() == [0.0, 1.0]
    assert batch.precision[:, 0].tolist() == [0.0, 1.0]


def test_fewer_candidates_than_n() -> None:
    figures = measure([turn([True, False], [0.5, 0.1])], [[1.0, 0.0]])
    assert figures.hit[0].tolist() == [1.0] * 5
    assert figures.precision[0].tolist() == [1.0, 0.5, 0.5, 0.5, 0.5]
    assert figures.ndcg[0] == 1.0


def test_gains_keep_the_order_of_the_labels() -> None:
    graded = turn([True, False, True, False], [0.1, 0.99, 0.7, 0.3])
    assert np.argsort(turn_gains(graded)).tolist() == np.argsort(graded.labels).tolist()


def test_bootstrap_sees_a_difference_and_no_difference() -> None:
    random = np.random.default_rng(0)
    noise, other = random.standard_normal(400), random.standard_normal(400)
    bootstrap = Bootstrap(range(400))
    assert bootstrap.p(noise + 0.3, noise + random.standard_normal(400) * 0.5) < 0.01
    assert bootstrap.p(noise, noise) == 1.0
    assert bootstrap.p(noise, other) > 0.01
    again = Bootstrap(range(400), seed=3), Bootstrap(range(400), seed=3)
    assert again[0].p(noise, other) == again[1].p(noise, other)


def test_bootstrap_draws_as_it_always_did_in_little_memory() -> None:
    random = np.random.default_rng(4)
    groups = random.integers(0, 1000, 4000)
    hits = random.random((2, 4000)) < [[0.5], [0.51]]
    differences = hits[0].astype(float) - hits[1]
    tracemalloc.start()
    try:
        found = Bootstrap(groups, samples=4000).p(hits[0], hits[1])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    names, place = np.unique(groups, return_inverse=True)
    shares = np.full(len(names), 1 / len(names))
    drawn = np.random.default_rng(0).multinomial(len(names), shares, size=4000)
    means = drawn @ np.bincount(place, weights=differences) / (drawn @ np.bincount(place))
    extreme = np.abs(means - differences.mean()) >= abs(differences.mean()) - 1e-12
    assert found == (extreme.sum() + 1) / 4001
    assert peak < drawn.nbytes / 2


def test_bootstrap_of_one_dialogue_tells_nothing() -> None:
    assert Bootstrap([7, 7, 7]).p([1.0, 1.0, 1.0], [0.0, 0.0, 0.0]) == 1.0


def test_bootstrap_is_two_sided_and_agrees_with_the_normal_approximation() -> None:
    random = np.random.default_rng(1)
    differences = random.standard_normal(500) + 0.1
    z = differences.mean() / (differences.std() / 500**0.5)
    expected = 2 * (1 - 0.5 * (1 + np.vectorize(_erf)(z / 2**0.5)))
    bootstrap = Bootstrap(range(500))
    got = bootstrap.p(differences, np.zeros(500))
    assert got == pytest.approx(expected, abs=0.01)
    assert bootstrap.p(np.zeros(500), differences) == pytest.approx(got, abs=0.01)


def test_bootstrap_of_whole_dialogues_is_more_careful() -> None:
    # Ten dialogues of fifty equal turns each hold ten numbers' worth of evidence, not 500.
    means = np.random.default_rng(2).standard_normal(10) + 0.4
    figures, groups = np.repeat(means, 50), np.repeat(np.arange(10), 50)
    zeros = np.zeros(500)
    assert Bootstrap(groups).p(figures, zeros) > 5 * Bootstrap(range(500)).p(figures, zeros)


def _erf(x: float) -> float:
    from math import erf

    return erf(x)
