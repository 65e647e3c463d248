"""Metrics of replies: pinned to pycocoevalcap's digits, and the bootstrap."""

from __future__ import annotations

import subprocess
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from langgraph_cooper.graph.evaluation import meteor
from langgraph_cooper.graph.evaluation.text_metrics import (
    PairedBootstrap,
    score_texts,
    tokenized,
)
from langgraph_cooper.ranker.data.dialogue import DataError

SAID = [
    "I am sorry to hear that. What happened at work?",
    "",
    "hello, how are you?",
    "hello, how are you?",
    "You could talk to your boss; it's worth a try, isn't it?",
]
REAL = [
    "I'm so sorry. What happened?",
    "Take care!",
    "Hi there, how are you today?",
    "hello",
    "Maybe you could talk to a colleague or your boss about it.",
]
# Bleu(4), Rouge and Meteor of pycocoevalcap 1.2 on the tokenised texts.
COCO = {"BL-1": 43.9024390, "BL-2": 31.2347524, "BL-4": 17.1796587, "RG-L": 39.3093123}
COCO_METEOR = 22.8944068


def test_digits_are_those_of_pycocoevalcap() -> None:
    found = score_texts(SAID, REAL, meteor=False).scores()
    assert {name: found[name] for name in COCO} == pytest.approx(COCO, abs=1e-5)


def test_distinct_and_repeats_are_counted_over_the_corpus() -> None:
    scored = score_texts(["a b a b", "a b a b", "c d"], ["x", "x", "x"], meteor=False)
    found = scored.scores()
    assert found["Dist-1"] == pytest.approx(100 * 4 / 10)
    assert found["Dist-2"] == pytest.approx(100 * 3 / 7)
    assert scored.shape() == pytest.approx({"length": 10 / 3, "repeated": 100 / 3})


def test_a_text_is_lower_cased_and_split() -> None:
    assert tokenized("Don't!  You're OK.") == "do n't ! you 're ok ."
    assert tokenized(" ") == "&"


def test_nothing_in_common_is_zero_and_the_same_is_everything() -> None:
    nothing = score_texts(["one two"], ["three four"], meteor=False).scores()
    assert (nothing["BL-1"], nothing["BL-4"], nothing["RG-L"]) == (0, 0, 0)
    same = score_texts(["one two three four"], ["one two three four"], meteor=False).scores()
    assert (same["BL-4"], same["RG-L"]) == pytest.approx((100, 100))


def test_meteor_is_the_jars(monkeypatch: pytest.MonkeyPatch) -> None:
    if meteor.meteor_command() is None:
        pytest.skip(meteor.MISSING)
    found = score_texts(SAID, REAL).scores()
    assert found["MET"] == pytest.approx(COCO_METEOR, abs=1e-4)
    monkeypatch.setattr(meteor, "meteor_command", lambda: ("false",))
    with pytest.raises(DataError, match="java -version"):
        score_texts(SAID, REAL)


def test_meteor_is_left_out_without_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meteor, "meteor_command", lambda: None)
    monkeypatch.setattr(subprocess, "Popen", None)
    assert "MET" not in score_texts(SAID, REAL).scores()


@pytest.mark.parametrize(("said", "real"), [([], []), (["a"], ["a", "b"])])
def test_texts_without_partner_are_an_error(said: list[str], real: list[str]) -> None:
    with pytest.raises(DataError, match="one reference for each reply"):
        score_texts(said, real)


def test_meteor_is_compared_by_means_of_the_replies_own_scores() -> None:
    real = [f"word{i} is said here" for i in range(40)]
    texts = score_texts(real, real, meteor=False)
    random = np.random.default_rng(0)
    # Over the corpus both are equal; reply by reply the first is better by far.
    better, worse = (
        replace(texts, meteor=meteor.Meteor([""] * 40, random.uniform(low, low + 0.1, 40), 0.5))
        for low in (0.6, 0.2)
    )
    assert PairedBootstrap(range(40), samples=400).p_values(better, worse)["MET"] < 0.01


def test_the_bootstrap_draws_as_it_always_did_in_little_memory() -> None:
    random = np.random.default_rng(1)
    real = [" ".join(f"w{i}x{place}" for place in range(30)) for i in range(900)]
    other = [text if random.random() < 0.5 else "w1x2 w2x3" for text in real]
    first, second = (score_texts(said, real, meteor=False) for said in (real, other))
    tracemalloc.start()
    try:
        found = PairedBootstrap(range(900), samples=5000).p_values(second, first)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    drawn = np.random.default_rng(0).multinomial(900, np.full(900, 1 / 900), size=5000)
    mean = second.rouge - first.rouge
    differences = 100 * (drawn @ mean) / drawn.sum(axis=1)
    extreme = np.abs(differences - differences.mean()) >= abs(100 * mean.mean()) - 1e-9
    assert found["RG-L"] == (extreme.sum() + 1) / 5001
    assert peak < drawn.nbytes  # 8 bytes a count


def test_the_bootstrap_tells_a_difference_from_none() -> None:
    real = [f"word{i} is said here" for i in range(40)]
    good = score_texts([f"word{i} is said there" for i in range(40)], real, meteor=False)
    bad = score_texts(["nothing is in this"] * 40, real, meteor=False)
    test = PairedBootstrap([i // 2 for i in range(40)], samples=400)
    p = test.p_values(good, bad)
    assert set(p) == {"BL-1", "BL-2", "BL-4", "RG-L", "Dist-1", "Dist-2", "Dist-3"}
    assert max(p["BL-1"], p["RG-L"], p["Dist-1"]) < 0.01
    assert set(test.p_values(good, good).values()) == {1.0}
    assert test.p_values(good, bad) == p  # the same seed
    assert set(PairedBootstrap([0] * 40, samples=9).p_values(good, bad).values()) == {1.0}
