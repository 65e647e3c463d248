"""Metrics: perfect rankings, nothing relevant, few candidates, NaN."""

from __future__ import annotations

import numpy as np
import pytest

from langgraph_cooper.ranker.data.dialogue import AnnotatedTurn
from langgraph_cooper.ranker.data.labels import LabelledTurn, rank_labels
from langgraph_cooper.ranker.evaluation.metrics import (
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
