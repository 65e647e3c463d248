"""The trained ranker as the nodes use it."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from langgraph_cooper.ranker import load, trained
from langgraph_cooper.ranker.api import Ranker, ScoredTopic, finite
from langgraph_cooper.ranker.data.dialogue import Utterance
from langgraph_cooper.ranker.load import load_ranker
from langgraph_cooper.ranker.model.checkpoint import CheckpointError
from langgraph_cooper.ranker.trained import TrainedRanker
from tests.ranker.tiny import ASPECTS, HISTORY, TOPICS, random_ranker, ranker_config

OWNERS = ("exploration", "comforting", "action", "passive", "exploration")
CANDIDATES = [ScoredTopic(*pair) for pair in zip(OWNERS, TOPICS, strict=True)]
STATES = ("the seeker lost a job", "", "a walk was suggested")


@pytest.fixture(scope="module")
def folder(
    tiny_transformer: str, tiny_encoder: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    random_ranker(ranker_config(tiny_transformer, tiny_encoder)).save_pretrained(folder, half=False)
    return folder


@pytest.fixture(scope="module")
def ranker(folder: Path) -> TrainedRanker:
    return load_ranker(folder, aspects=ASPECTS, precision="float32")


@pytest.fixture(scope="module")
def signals(ranker: TrainedRanker) -> dict[str, Any]:
    pairs = zip(ASPECTS, STATES, strict=True)
    return {aspect: ranker.progression(aspect, state).signal for aspect, state in pairs}


def test_keeps_the_interface(ranker: TrainedRanker) -> None:
    interface: Ranker = ranker
    assert (interface.name, interface.trained, interface.dimension) == ("cooper-esc", True, 32)
    assert interface.embed(["a", ""]).shape == (2, 32)


def test_progression_reads_well(ranker: TrainedRanker) -> None:
    result = ranker.progression("comforting", "they feel a little better")
    weights = [weight for _, weight in result.targets]
    assert {text for text, _ in result.targets} == {f"comforting {j}" for j in range(3)}
    assert weights == sorted(weights, reverse=True)
    assert math.isclose(sum(weights), 1.0, abs_tol=1e-5)
    assert 0.0 <= result.progress <= 1.0
    assert result.signal.shape == (2, 32)
    assert result.signal.dtype == np.float32
    np.testing.assert_array_equal(result.signal[1], ranker.embed(["they feel a little better"])[0])
    module = ranker.model.progression_module("comforting")
    heaviest = int(module(torch.from_numpy(result.signal[1:])).attention.argmax())
    assert result.targets[0][0] == module.texts[heaviest]


def test_progression_of_nothing_and_of_an_unknown_aspect(ranker: TrainedRanker) -> None:
    assert ranker.progression("action", " ").progress == 0.0
    with pytest.raises(ValueError, match="'passive' is not one of"):
        ranker.progression("passive", "x")


def test_scores_are_the_models(ranker: TrainedRanker, signals: dict[str, Any]) -> None:
    model = ranker.model
    states = torch.from_numpy(np.stack([signals[a][1] for a in ASPECTS]))[None]
    tokens = model.tokens([model.tokenizer.turn(HISTORY, TOPICS)])
    recent = [said.text for said in reversed(HISTORY)]
    texts = torch.from_numpy(ranker.embed([*TOPICS, *recent]))[None]
    assert model.evidence is not None
    vectors = model.evidence.vectors(texts[:, :5], texts[:, 5:], torch.tensor([2]))
    expected = model(tokens, torch.tensor([[0, 1, 2, 3, 0]]), model.signals(states), vectors)
    scores = ranker.score(HISTORY, CANDIDATES, signals)
    np.testing.assert_allclose(scores, expected[0].detach().numpy(), atol=1e-4)
    assert ranker.score(HISTORY, CANDIDATES, signals) == scores
    assert all(type(score) is float for score in scores)


@pytest.mark.parametrize("form", ["packed", "pairwise"])
@pytest.mark.parametrize("count", [0, 1, 500])
def test_any_number_of_candidates(
    folder: Path, signals: dict[str, Any], monkeypatch: pytest.MonkeyPatch, form: Any, count: int
) -> None:
    monkeypatch.setattr(trained, "ROW_TOKENS", 100)
    ranker = load_ranker(folder, precision="float32", form=form)
    many = [CANDIDATES[i % 5]._replace(topic=f"{TOPICS[i % 5]} {i % 50}") for i in range(count)]
    scores = ranker.score(HISTORY, many, signals)
    assert len(scores) == count
    for index in range(0, count, 123):
        alone = ranker.score(HISTORY, [many[index]], signals)[0]
        assert alone == pytest.approx(scores[index], abs=1e-4)


@pytest.mark.parametrize(
    "history",
    [
        [],
        [Utterance("user", "")],
        [Utterance("user", "x" * 100_000)],
        [Utterance("user", "ask who " * 12_000)],
        [Utterance("system", "{0} [CLS] \x00 \ud800")],
    ],
    ids=["none", "empty", "one word", "long", "odd"],
)
def test_odd_histories_and_topics(
    ranker: TrainedRanker, signals: dict[str, Any], history: list[Utterance]
) -> None:
    odd = [ScoredTopic("action", text) for text in ("", "y" * 100_000, "ask " * 25_000, "[SEP]")]
    scores = ranker.score(history, [*CANDIDATES, *odd], signals)
    assert len(scores) == 9
    assert all(math.isfinite(score) for score in scores)


def test_wrong_aspects_and_signals(ranker: TrainedRanker, signals: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="'humour' is not one of"):
        ranker.score(HISTORY, [ScoredTopic("humour", "joke")], signals)
    with pytest.raises(ValueError, match="of aspect 'action'"):
        ranker.score(HISTORY, CANDIDATES, {k: v for k, v in signals.items() if k != "action"})
    with pytest.raises(ValueError, match="of aspect 'action'"):
        ranker.score(HISTORY, CANDIDATES, signals | {"action": np.zeros((2, 8), np.float32)})


def test_nan_is_seen_and_can_be_replaced(ranker: TrainedRanker, signals: dict[str, Any]) -> None:
    assert finite([1.0, math.nan, -2.0]) == [1.0, -3.0, -2.0]
    assert finite([math.inf, 0.5, -math.inf]) == [1.5, 0.5, -0.5]
    assert finite([math.nan]) == [0.0]
    assert finite([]) == []
    poisoned = signals | {"action": np.full((2, 32), np.nan, np.float32)}
    scores = ranker.score(HISTORY, CANDIDATES, poisoned)
    assert not np.isfinite(scores).any()  # the coordinator reports it as a fault
    assert json.dumps(finite(scores), allow_nan=False)


def test_bfloat16_is_close_and_leaves_the_progression_alone(
    folder: Path, ranker: TrainedRanker, signals: dict[str, Any]
) -> None:
    half = load_ranker(folder, precision="bfloat16")
    assert half is not ranker
    exact, close = (np.array(r.score(HISTORY, CANDIDATES, signals)) for r in (ranker, half))
    assert 0 < np.abs(exact - close).max() < 0.25 * exact.std()
    np.testing.assert_array_equal(
        half.progression("action", "x").signal, ranker.progression("action", "x").signal
    )


@pytest.mark.parametrize(
    ("able", "precision"),
    [({"avx512_bf16": True}, "bfloat16"), ({"amx_bf16": True}, "bfloat16"), ({}, "float32")],
)
def test_precision_follows_the_processor(
    tiny_transformer: str,
    tiny_encoder: str,
    monkeypatch: pytest.MonkeyPatch,
    able: dict[str, bool],
    precision: str,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    model = random_ranker(ranker_config(tiny_transformer))
    made = TrainedRanker(model, load.load_encoder(tiny_encoder))
    assert made.precision == precision


def test_without_progression_no_signals_are_needed(
    tiny_transformer: str, tiny_encoder: str
) -> None:
    model = random_ranker(ranker_config(tiny_transformer, progression=False))
    made = TrainedRanker(model, load.load_encoder(tiny_encoder))
    assert len(made.score(HISTORY, CANDIDATES, {})) == 5
    assert made.progression("action", "a walk").signal.shape == (2, 32)


def test_many_threads_load_one_ranker_and_agree(
    folder: Path, signals: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "_rankers", {})  # so that the threads race to load it

    def job(index: int) -> tuple[int, list[float], float]:
        ranker = load_ranker(folder, aspects=ASPECTS, precision="float32")
        progress = ranker.progression(ASPECTS[index % 3], STATES[index % 3]).progress
        return id(ranker), ranker.score(HISTORY, CANDIDATES, signals), progress

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(job, range(24)))
    assert len({identity for identity, _, _ in results}) == 1
    for index, (_, scores, progress) in enumerate(results):
        np.testing.assert_allclose(scores, results[0][1], atol=1e-5)
        assert progress == pytest.approx(results[index % 3][2], abs=1e-6)


def test_checkpoint_of_other_aspects_or_encoder(
    folder: Path, tiny_transformer: str, tiny_encoder: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="use a checkpoint trained for this task"):
        load_ranker(folder, aspects=("appeal",))
    with pytest.raises(CheckpointError, match=r"gives 384 dimensions .* needs 32"):
        load_ranker(folder, encoder="all-MiniLM-L6-v2")
    other = ranker_config(tiny_transformer, tiny_encoder, encoder_sha256="0" * 64)
    random_ranker(other).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="is not the one that the checkpoint"):
        load_ranker(tmp_path)
