"""Target states: clusters that are there are found, deterministically."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from langgraph_cooper.ranker.data.dialogue import DataError
from langgraph_cooper.ranker.training import targets
from langgraph_cooper.ranker.training.targets import cluster_range, find_targets
from tests.ranker.toys import encode

TOPICS = ("work money boss", "sleep night tired", "friend quarrel sorry")
FINALS = [f"{topic} {number}" for topic in TOPICS for number in range(8)]


def test_finds_the_clusters_that_are_there() -> None:
    found = find_targets("action", FINALS, encode, ks=range(2, 7))
    assert len(found.texts) == 3
    assert max(found.silhouette, key=lambda k: found.silhouette[k]) == 3
    assert set(found.silhouette) == set(range(2, 7))
    assert found.sizes == (8, 8, 8)
    assert found.centroids.shape == (3, 32)
    assert found.centroids.dtype == np.float32
    nearest = {next(topic for topic in TOPICS if text.startswith(topic)) for text in found.texts}
    assert nearest == set(TOPICS)
    assert set(found.texts) <= set(FINALS)


def test_same_seed_same_result() -> None:
    one, other = (find_targets("a", FINALS, encode, ks=range(2, 6), seed=4) for _ in range(2))
    np.testing.assert_array_equal(one.centroids, other.centroids)
    assert one.texts == other.texts


def test_the_order_does_not_matter() -> None:
    one, other = (find_targets("a", finals, encode) for finals in (FINALS, FINALS[::-1]))
    np.testing.assert_array_equal(one.centroids, other.centroids)
    assert one.texts == other.texts


def test_larger_clusters_come_first() -> None:
    found = find_targets("a", FINALS[:-4], encode, ks=range(3, 4))
    assert found.sizes == (8, 8, 4)


def test_empty_summaries_count_for_nothing() -> None:
    padded = ["", "  ", *FINALS]
    one, other = (find_targets("a", texts, encode, ks=range(3, 4)) for texts in (FINALS, padded))
    np.testing.assert_array_equal(one.centroids, other.centroids)


@pytest.mark.parametrize("finals", [[], [""], ["one"], ["one", "two"], ["same"] * 30])
def test_fewer_conversations_than_clusters_is_one_error(finals: list[str]) -> None:
    with pytest.raises(DataError, match=r"aspect 'action'.*too few"):
        find_targets("action", finals, encode)


def test_default_range() -> None:
    assert cluster_range(910) == range(18, 46)
    assert cluster_range(30) == range(2, 3)
    assert cluster_range(1300) == range(26, 66)


@pytest.mark.parametrize("count", [1320, 10_000, 1_000_000])
def test_many_conversations_do_not_try_more_numbers_of_clusters(count: int) -> None:
    tried = cluster_range(count)
    assert 20 <= len(tried) <= 40
    assert tried[0] == count // 50
    assert count // 20 - tried.step < tried[-1] <= count // 20


def test_a_silhouette_of_many_states_is_measured_on_some(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sizes: list[int] = []

    def noted(rows: np.ndarray, labels: np.ndarray) -> float:
        sizes.append(len(rows))
        return float(silhouette_score(rows, labels))

    monkeypatch.setattr(targets, "silhouette_score", noted)
    monkeypatch.setattr(targets, "MEASURED", 12)
    with caplog.at_level("INFO"):
        found = find_targets("action", FINALS, encode, ks=range(2, 12))
    assert set(sizes) == {12}
    assert len(found.texts) == 3
    assert sum(found.sizes) == len(FINALS)
    assert "10 of 10 clusterings" in caplog.text


def test_a_sample_of_one_cluster_chooses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "MEASURED", 2)
    found = find_targets("action", ["same"] * 40 + ["other thing", "third"], encode, ks=range(2, 3))
    assert found.silhouette == {2: -1.0}
