"""The study of what signals add: that it would notice a signal, and knows no answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.model.transformer import load_transformer
from tests.benchmarks import signals, study
from tests.benchmarks.signal_forms import BOUNDS, FORMS, without_signals
from tests.benchmarks.study import Study
from tests.ranker.toys import encode, toy_dialogues, toy_task


@pytest.fixture(scope="module")
def it(tiny_transformer: str) -> Study:
    task = toy_task(load_task("esc").prompts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "load_transformer", lambda _: load_transformer(tiny_transformer))
        return study.study(toy_dialogues(48), task, encode, seed=0)


def test_every_form_has_a_row_for_each_candidate(it: Study) -> None:
    count = 48 * 3 * 7
    assert len(it.turn) == len(it.best) == len(it.topic) == count
    for name, form in {**FORMS, **BOUNDS}.items():
        features = form(it)
        assert features.shape[0] == count, name
        assert np.isfinite(features).all(), name
    assert np.isfinite(without_signals(it)).all()


def test_aspects_promoted_so_far(it: Study) -> None:
    """The toys explore, comfort, act. Columns: (times, turns ago) of four aspects, then own."""
    rows = BOUNDS["aspects promoted so far (labels)"](it)
    first, second, third = (rows[it.turn == turn][0] for turn in range(3))
    assert first[:6].tolist() == [0, 30, 0, 30, 0, 30]
    assert second[:6].tolist() == [1, 1, 0, 30, 0, 30]
    assert third[:6].tolist() == [1, 2, 1, 1, 0, 30]
    assert third[-2:].tolist() == [1, 2]  # its first candidate explores


def test_a_guess_at_what_was_promoted_is_near_the_labels(it: Study) -> None:
    """The toys' replies give their aspect away."""
    known, guessed = (
        BOUNDS[name](it)[:, 0]
        for name in ("aspects promoted so far (labels)", "... aspects promoted so far")
    )
    assert np.corrcoef(known, guessed)[0, 1] > 0.8


def test_what_was_covered(it: Study) -> None:
    """Cosines with earlier utterances: none before the last three, then some."""
    rows = BOUNDS["whole conversation: topics covered"](it)
    assert not rows[it.turn == 0].any()  # only the user has spoken
    assert not rows[it.turn == 1][:, :4].any()  # all is among the last three
    assert rows[it.turn == 2][:, 2].any()


def test_a_topic_s_own_quarter_does_not_count_for_it(it: Study) -> None:
    """Popular in one quarter only: to the candidates of that quarter it is not."""
    # A toy's word depends on its number: quarters of eight toys in a row have all words.
    quarters = replace(it, fold=np.arange(len(it.fold)) // 24 % 4)
    only = quarters.fold[it.turn] == 1
    popularity = without_signals(replace(quarters, best=it.best & only))[:, -1]
    assert popularity[only].max() <= 1 / 13
    assert popularity[~only].max() > 1 / 13


def test_it_notices_a_signal_that_tells(it: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    noise = rng.permutation(it.best)
    shuffled = replace(it, best=noise)  # nothing is left to be learnt from the texts

    def oracle(given: Study) -> Any:
        return given.best[:, None].astype(float)

    def nothing(given: Study) -> Any:
        return rng.normal(size=(len(given.best), 1))

    monkeypatch.setattr(signals, "FORMS", {"oracle": oracle, "nothing": nothing})
    monkeypatch.setattr(signals, "BOUNDS", {"nothing": nothing})  # each costs four fits
    monkeypatch.setattr(signals, "measure", _share_of(noise))
    report = signals.compare(shuffled, seeds=1)
    assert report["oracle"]["hit@1"]["difference"] > 0.3
    assert report["oracle"]["hit@1"]["p"] < 0.01
    assert report["nothing"]["hit@1"]["difference"] < 0.1


def _share_of(best: np.ndarray) -> Any:
    """Figures after these shuffled answers instead of the toys' labels."""

    class Columns:
        def __init__(self, values: np.ndarray) -> None:
            self.values = values

        def columns(self) -> dict[str, np.ndarray]:
            return dict.fromkeys(signals.METRICS, self.values)

    def measure(turns: Any, scores: Any) -> Columns:
        ends = np.cumsum([len(row) for row in scores])
        rows = np.split(best, ends[:-1])
        first = [
            float(row[np.argmax(row_scores)]) for row, row_scores in zip(rows, scores, strict=True)
        ]
        return Columns(np.array(first))

    return measure
