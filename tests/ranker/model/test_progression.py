"""The progression analysis module against NumPy in float64."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from langgraph_cooper.ranker.model.progression import ProgressionModule

K, DIMENSION = 5, 12
TEXTS = tuple(f"target {j}" for j in range(K))


@pytest.fixture
def module() -> ProgressionModule:
    generator = torch.Generator().manual_seed(1)
    targets = normalize(torch.randn(K, DIMENSION, generator=generator))
    module = ProgressionModule(targets, TEXTS, (0.1, 0.6), generator)
    with torch.no_grad():  # far from the identity, so that a missing W shows
        module.weight += torch.randn(DIMENSION, DIMENSION, generator=generator)
    return module


@pytest.fixture
def states() -> torch.Tensor:
    return normalize(torch.randn(3, DIMENSION, generator=torch.Generator().manual_seed(2)))


def _numpy(tensor: torch.Tensor) -> NDArray[np.float64]:
    return tensor.detach().numpy().astype(np.float64)


def test_formula_by_numpy(module: ProgressionModule, states: torch.Tensor) -> None:
    w, e = _numpy(module.weight), _numpy(module.targets)
    result = module(states)
    for row, s in enumerate(_numpy(states)):
        h = np.array([np.dot(w @ s, w @ e_j) for e_j in e])
        alpha = np.exp(h) / np.exp(h).sum()
        mixture = sum(a * e_j for a, e_j in zip(alpha, e, strict=True))
        cosine = np.dot(s, mixture) / np.linalg.norm(s) / np.linalg.norm(mixture)
        progress = NormalDist(0.1, 0.6).cdf(cosine)
        np.testing.assert_allclose(_numpy(result.attention[row]), alpha, atol=1e-6)
        np.testing.assert_allclose(_numpy(result.signal[row, 0]), np.maximum(mixture, 0), atol=1e-6)
        np.testing.assert_array_equal(_numpy(result.signal[row, 1]), s)
        np.testing.assert_allclose(result.closeness[row].item(), cosine, atol=1e-6)
        np.testing.assert_allclose(result.progress[row].item(), progress, atol=1e-5)


def test_a_batch_equals_its_rows(module: ProgressionModule, states: torch.Tensor) -> None:
    together = module(states).signal
    alone = torch.cat([module(state[None]).signal for state in states])
    torch.testing.assert_close(together, alone)


def test_empty_state_has_no_progress(module: ProgressionModule) -> None:
    module.calibration.copy_(
        torch.tensor([-0.9, -0.5])
    )  # where a cosine of 0 would count as arrived
    result = module(torch.zeros(1, DIMENSION))
    assert result.progress.item() == 0.0
    torch.testing.assert_close(result.attention, torch.full((1, K), 1 / K))
    assert result.signal.isfinite().all()


def test_progress_is_the_share_that_ended_farther_away(
    module: ProgressionModule, states: torch.Tensor
) -> None:
    cosines = module(states).closeness.detach()
    module.calibration.copy_(torch.tensor([cosines[0] - 0.2, 0.2]))
    progress = module(states).progress.detach()
    assert progress[0].item() == pytest.approx(NormalDist().cdf(1.0), abs=1e-5)
    assert torch.equal(progress.argsort(), cosines.argsort())
    assert 0 <= progress.min() <= progress.max() <= 1
    for deviation in (0.0, -0.5):  # final states all alike, or nonsense
        module.calibration.copy_(torch.tensor([cosines[0], deviation]))
        assert module(states).progress.isfinite().all()


def test_calibrated_half_of_the_final_states_have_more_than_a_half(
    module: ProgressionModule,
) -> None:
    """By the W that has learnt, not by the identity that it began with."""
    finals = normalize(
        torch.randn(400, DIMENSION, generator=torch.Generator().manual_seed(7)), dim=-1
    )
    with torch.no_grad():
        module.weight.copy_(torch.randn(DIMENSION, DIMENSION) * 2)
    module.calibrate(finals)
    near = module(finals).closeness
    torch.testing.assert_close(
        module.calibration, torch.stack([near.mean(), near.std(correction=0)])
    )
    assert 0.4 < float((module(finals).progress > 0.5).float().mean()) < 0.6


def test_first_attention_prefers_the_target_at_hand() -> None:
    targets = normalize(torch.randn(K, DIMENSION, generator=torch.Generator().manual_seed(4)))
    fresh = ProgressionModule(targets, TEXTS)
    assert fresh(targets).attention.argmax(dim=-1).tolist() == list(range(K))


def test_texts_must_match_targets() -> None:
    with pytest.raises(ValueError, match="k texts"):
        ProgressionModule(torch.zeros(2, 4), ["only one"])
