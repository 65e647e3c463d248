"""Ranking losses against values worked out by hand, padding, extremes and gradients."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log

import pytest
import torch
from torch import Tensor

from langgraph_cooper.ranker.training.examples import TurnBatch
from langgraph_cooper.ranker.training.losses import (
    Objective,
    aspect_loss,
    graded_gains,
    listwise_loss,
    pointwise_loss,
    soft_positions,
    total_loss,
    triplet_loss,
)

SCORES = torch.tensor([[0.5, 0.4, 0.0]])
LABELS = torch.tensor([[3.0, 1.0, 2.0]])
FULL = torch.ones(1, 3, dtype=torch.bool)
ASPECTS = torch.tensor([[0, 0, 1]])
PROMOTED = torch.tensor([[1.0, 0.0]])

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def by_gains(scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    return listwise_loss(scores, labels, mask)


def by_aspect(scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    aspects = (torch.arange(scores.shape[1]) == 2).long().expand(scores.shape)
    return aspect_loss(scores, aspects, PROMOTED.expand(len(scores), 2), mask)


def by_triplets(scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    return triplet_loss(scores, labels, mask, margin=0.2)


def by_points(scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    return pointwise_loss(scores, labels, mask, temperature=0.1)


def batch_of(labels: Tensor, mask: Tensor) -> TurnBatch:
    """A batch of which the labels are read and nothing else."""
    nothing = torch.zeros(0)
    return TurnBatch(
        states=nothing,
        aspects=nothing,
        labels=labels,
        hits=nothing,
        similarity=nothing,
        promoted=nothing,
        vectors=None,
        mask=mask,
    )


def by_paper(scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    return total_loss(Objective.paper(), scores, batch_of(labels, mask))[0]


LOSSES: list[Loss] = [by_triplets, by_points, by_paper, by_gains, by_aspect]


def test_triplet_by_hand() -> None:
    # Pairs (worse, better): (1, 0): .4 - .5 + .2 = .1; (2, 0): 0 - .5 + .2 < 0; (1, 2): .4 + .2.
    assert by_triplets(SCORES, LABELS, FULL).item() == pytest.approx(0.7)
    mean = triplet_loss(SCORES, LABELS, FULL, margin=0.2, mean=True)
    assert mean.item() == pytest.approx(0.7 / 3)
    wide = triplet_loss(SCORES, LABELS, FULL, margin=0.7)  # .6 + .2 + 1.1
    assert wide.item() == pytest.approx(1.9)


def test_triplet_is_zero_when_the_order_has_the_margin() -> None:
    assert by_triplets(LABELS, LABELS, FULL).item() == 0.0


def test_soft_positions_by_hand() -> None:
    scores = torch.tensor([[0.1, 0.0]])
    ahead = 1 / (1 + exp(-1.0))
    got = soft_positions(scores, FULL[:, :2], temperature=0.1)
    assert got[0].tolist() == pytest.approx([1 + ahead, 2 - ahead])


def test_soft_positions_become_the_labels_of_a_sharp_ranking() -> None:
    assert soft_positions(LABELS, FULL, temperature=1e-3).tolist() == LABELS.tolist()


def test_pointwise_by_hand() -> None:
    ahead = 1 / (1 + exp(-1.0))
    wrong = by_points(torch.tensor([[0.1, 0.0]]), torch.tensor([[1.0, 2.0]]), FULL[:, :2])
    assert wrong.item() == pytest.approx(ahead**2)  # both are off by `ahead`
    assert pointwise_loss(LABELS, LABELS, FULL, temperature=1e-3).item() == pytest.approx(0.0)


def test_paper_by_hand() -> None:
    # L_t is .7 (above). The positions, from differences over .1: 1 and 5, -1 and 4, -5 and -4.
    def ahead(difference: float) -> float:
        return 1 / (1 + exp(-difference))

    positions = (
        1 + ahead(1) + ahead(5),  # the label is 3
        1 + ahead(-1) + ahead(4),  # 1
        1 + ahead(-5) + ahead(-4),  # 2
    )
    errors = [(label - at) ** 2 for label, at in zip((3, 1, 2), positions, strict=True)]
    pointwise = sum(errors) / 3
    assert pointwise == pytest.approx(0.8640, abs=1e-4)
    total, parts = total_loss(Objective.paper(), SCORES, batch_of(LABELS, FULL))
    assert parts == pytest.approx({"triplet": 0.7, "pointwise": pointwise})
    assert total.item() == pytest.approx(0.9 * 0.7 + 0.1 * pointwise)
    half, _ = total_loss(Objective.paper(alpha=0.5), SCORES, batch_of(LABELS, FULL))
    assert half.item() == pytest.approx(0.5 * 0.7 + 0.5 * pointwise)


def test_listwise_by_hand() -> None:
    scores = torch.tensor([[log(3.0), 0.0]])  # softmax: 3/4, 1/4
    loss = listwise_loss(scores, torch.tensor([[1.0, 1.0]]), FULL[:, :2])
    assert loss.item() == pytest.approx(-0.5 * log(0.75) - 0.5 * log(0.25))


def test_listwise_passes_a_turn_without_gains() -> None:
    scores = torch.zeros(1, 3, requires_grad=True)
    loss = listwise_loss(scores, torch.zeros(1, 3), FULL)
    loss.backward()
    assert loss.item() == 0.0
    assert scores.grad is not None
    assert scores.grad.abs().sum() == 0


def test_graded_gains_stay_with_the_hits() -> None:
    similarity = torch.tensor([[0.1, 0.1, 0.9]])
    hits = torch.tensor([[True, True, False]])
    even = graded_gains(similarity, hits, FULL, sharpness=10.0)
    assert even[0].tolist() == pytest.approx([0.5, 0.5, 0.0])
    shared = graded_gains(similarity, hits, FULL, sharpness=10.0, miss=0.2)
    assert shared[0].tolist() == pytest.approx([0.4, 0.4, 0.2])
    sharp = graded_gains(similarity, torch.ones_like(hits), FULL, sharpness=100.0)
    assert sharp[0].tolist() == pytest.approx([0.0, 0.0, 1.0], abs=1e-6)
    mild = graded_gains(similarity, torch.ones_like(hits), FULL, sharpness=log(2) / 0.8)
    assert mild[0].tolist() == pytest.approx([0.25, 0.25, 0.5])
    none = graded_gains(similarity, torch.zeros_like(hits), FULL, sharpness=10.0)
    assert none.sum() == 0


def test_aspect_loss_by_hand_ignores_how_many_candidates_an_aspect_has() -> None:
    # Two candidates at 0 and one at 0: both aspects stand at 0, so either has one half.
    even = aspect_loss(torch.zeros(1, 3), ASPECTS, PROMOTED, FULL)
    assert even.item() == pytest.approx(log(2))
    # log-mean-exp of (log 3, log 3) is log 3 against 0: three quarters.
    scores = torch.tensor([[log(3.0), log(3.0), 0.0]])
    assert aspect_loss(scores, ASPECTS, PROMOTED, FULL).item() == pytest.approx(-log(0.75))


def test_aspect_loss_passes_aspects_without_candidates() -> None:
    promoted = torch.tensor([[1.0, 0.0, 1.0]])  # the third has none
    got = aspect_loss(torch.zeros(1, 3), ASPECTS, promoted, FULL)
    assert got.item() == pytest.approx(log(2))


@pytest.mark.parametrize("loss", LOSSES)
def test_padding_changes_nothing(loss: Loss) -> None:
    padded = torch.tensor([[0.5, 0.4, 0.0, 77.0], [0.1, 0.2, 0.3, 0.4]], requires_grad=True)
    labels = torch.tensor([[3.0, 1.0, 2.0, 9.0], [1.0, 2.0, 3.0, 4.0]])
    mask = torch.tensor([[True, True, True, False], [True] * 4])
    alone = [
        loss(SCORES, LABELS, FULL),
        loss(padded[1:].detach(), labels[1:], mask[1:]),
    ]
    batch = loss(padded, labels, mask)
    batch.backward()
    assert batch.item() == pytest.approx(sum(alone).item() / 2, rel=1e-6)
    assert padded.grad is not None
    assert padded.grad[0, 3] == 0
    assert padded.grad[1].abs().sum() > 0


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("scale", [0.0, 1e4, -1e4])
def test_extreme_scores_stay_finite(loss: Loss, scale: float) -> None:
    scores = (torch.tensor([[1.0, -1.0, 0.5]]) * scale).requires_grad_()
    value = loss(scores, LABELS, FULL)
    value.backward()
    assert torch.isfinite(value)
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_descent_leads_to_the_right_first(loss: Loss) -> None:
    scores = torch.tensor([[0.0, 0.1, 0.2]], requires_grad=True)
    for _ in range(200):
        (gradient,) = torch.autograd.grad(loss(scores, LABELS, FULL), scores)
        scores = (scores - 0.05 * gradient).detach().requires_grad_()
    assert int(scores.argmax()) in ((0, 1) if loss is by_aspect else (0,))


@pytest.mark.parametrize("loss", LOSSES)
def test_numerical_gradient(loss: Loss) -> None:
    scores = torch.tensor([[0.31, 0.12, -0.2]], dtype=torch.float64, requires_grad=True)
    labels = LABELS.double()
    assert torch.autograd.gradcheck(lambda s: loss(s, labels, FULL), scores, atol=1e-5)
