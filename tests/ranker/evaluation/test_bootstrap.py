"""Paired bootstrap: a difference, none, whole dialogues, little memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from langgraph_cooper.ranker.evaluation.bootstrap import Bootstrap


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
