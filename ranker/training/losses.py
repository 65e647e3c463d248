"""Ranking losses: pure functions of scores, labels and a mask.

Shapes are the same everywhere: `scores` [B, N] float, `labels` [B, N] with n for the best of a
turn's n candidates and 1 for the worst, `mask` [B, N] bool, False where a turn has fewer candidates
than N. The contents of masked places have no influence on value or gradient. Each loss is the mean
over the turns of the batch. `Objective` holds their constants.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional

from langgraph_cooper.ranker.training.examples import TurnBatch


def _pairs(mask: Tensor) -> Tensor:
    """[B, N, N] bool: both candidates are there."""
    return mask.unsqueeze(2) & mask.unsqueeze(1)


def _differences(scores: Tensor, mask: Tensor) -> Tensor:
    """[B, N, N]: score of i less score of j, 0 where either is masked."""
    safe = scores.masked_fill(~mask, 0.0)
    return (safe.unsqueeze(2) - safe.unsqueeze(1)).masked_fill(~_pairs(mask), 0.0)


def triplet_loss(
    scores: Tensor, labels: Tensor, mask: Tensor, *, margin: float, mean: bool = False
) -> Tensor:
    """Margin loss over all ordered pairs of a turn (paper, "Training", L_t).

    L_t = sum over label(a) < label(b) of max(0, f(a) - f(b) + margin).

    Args:
        scores: [B, N].
        labels: [B, N].
        mask: [B, N].
        margin: tau in the paper.
        mean: Divide by the number of pairs, so that turns with many candidates weigh as much as
            those with few; the paper sums.

    Returns:
        A scalar, the mean over turns.
    """
    worse = (labels.unsqueeze(2) < labels.unsqueeze(1)) & _pairs(mask)  # [B, N, N]: i below j
    terms = functional.relu(_differences(scores, mask) + margin) * worse
    total = terms.sum(dim=(1, 2))
    if mean:
        total = total / worse.sum(dim=(1, 2)).clamp(min=1)
    return total.mean()


def soft_positions(scores: Tensor, mask: Tensor, *, temperature: float) -> Tensor:
    """Differentiable ranking positions g, counted as the labels are: n for the highest score.

    g_i = 1 + sum over j != i of sigmoid((s_i - s_j) / temperature). As the temperature goes to 0
    this is the hard position, which has no gradient.

    Returns:
        [B, N]; masked places hold 0.
    """
    ahead = torch.sigmoid(_differences(scores, mask) / temperature) * _pairs(mask)
    itself = torch.diagonal(ahead, dim1=1, dim2=2)
    return (1.0 + ahead.sum(dim=2) - itself) * mask


def pointwise_loss(scores: Tensor, labels: Tensor, mask: Tensor, *, temperature: float) -> Tensor:
    """Mean squared error between label and predicted position (paper, "Training", L_p)."""
    errors = (labels.to(scores.dtype) - soft_positions(scores, mask, temperature=temperature)) ** 2
    return ((errors * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)).mean()


def listwise_loss(scores: Tensor, gains: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy between the distribution of gains and the softmax of the scores (ListNet).

    Only the order near the top matters where the gains are concentrated there; the twelve noisy
    positions of the paper's labels then do not drown the one that counts.

    Args:
        scores: [B, N].
        gains: [B, N], not negative; normalised per turn. A turn without any gain adds nothing.
        mask: [B, N].
    """
    wanted = gains.masked_fill(~mask, 0.0)
    total = wanted.sum(dim=1)
    wanted = wanted / total.clamp(min=1e-12).unsqueeze(1)
    # A finite floor keeps 0 * log(0) out of the sum; it is masked out all the same.
    logs = torch.log_softmax(scores.masked_fill(~mask, -1e30), dim=1).masked_fill(~mask, 0.0)
    return (-(wanted * logs).sum(dim=1) * (total > 0)).mean()


def graded_gains(
    similarity: Tensor, hits: Tensor, mask: Tensor, *, sharpness: float, miss: float = 0.0
) -> Tensor:
    """Gains for `listwise_loss`: the softmax of similarity among the candidates that hit.

    Args:
        similarity: [B, N], inner products with the real utterance.
        hits: [B, N] bool, whether a candidate promotes an aspect of the real utterance.
        mask: [B, N].
        sharpness: Inverse temperature of the softmax; the larger, the more the best one counts.
        miss: Share of the gains that goes to the candidates that do not hit, by similarity too.

    Returns:
        [B, N]; a turn's gains add up to 1, or to `miss` (or 1 - miss) where one of the groups is
        empty.
    """

    def spread(members: Tensor) -> Tensor:
        logits = (similarity * sharpness).masked_fill(~members, -1e30)
        return torch.softmax(logits, dim=1) * members

    return (1.0 - miss) * spread(hits & mask) + miss * spread(~hits & mask)


def aspect_loss(scores: Tensor, aspects: Tensor, promoted: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of the decision between the aspects, apart from the choice within one.

    An aspect's logit is the log-mean-exp of its candidates' scores, so that an aspect with more
    candidates has no head start; absent aspects take no part. The target is uniform over the
    aspects that the real utterance promotes and that have candidates.

    Args:
        scores: [B, N].
        aspects: [B, N] int64, index of each candidate's aspect.
        promoted: [B, A] bool or float, the aspects that the real utterance promotes, as weights.
        mask: [B, N].
    """
    count = promoted.shape[1]
    member = functional.one_hot(aspects, count).bool() & mask.unsqueeze(2)  # [B, N, A]
    present = member.any(dim=1)  # [B, A]
    spread = scores.unsqueeze(2).masked_fill(~member, -1e30)  # [B, N, A]
    size = member.sum(dim=1).clamp(min=1).to(scores.dtype)
    logits = torch.logsumexp(spread, dim=1) - size.log()  # [B, A]
    wanted = promoted.to(scores.dtype)
    return listwise_loss(logits, wanted, present)


class Objective(BaseModel):
    """Weights and constants of the losses; a loss of weight 0 is not computed.

    Attributes:
        triplet: Weight of L_t; alpha in the paper.
        pointwise: Weight of L_p; 1 - alpha in the paper.
        listwise: Weight of the graded listwise loss.
        aspect: Weight of the decision between the aspects.
        margin: tau of L_t.
        mean_pairs: Whether L_t is the mean over a turn's pairs; the paper sums.
        temperature: Of the soft positions of L_p.
        sharpness: How much the listwise gains favour the candidate nearest to the real utterance.
        miss: Share of the listwise gains for candidates of other aspects.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    triplet: float = Field(default=0.0, ge=0)
    pointwise: float = Field(default=0.0, ge=0)
    listwise: float = Field(default=1.0, ge=0)
    aspect: float = Field(default=0.0, ge=0)
    margin: float = Field(default=0.2, ge=0)
    mean_pairs: bool = False
    temperature: float = Field(default=0.1, gt=0)
    sharpness: float = Field(default=8.0, gt=0)
    miss: float = Field(default=0.0, ge=0, lt=1)

    @classmethod
    def paper(cls, *, alpha: float = 0.9) -> Objective:
        """The paper's L_R = alpha L_t + (1 - alpha) L_p."""
        return cls(triplet=alpha, pointwise=1.0 - alpha, listwise=0.0, aspect=0.0)


def total_loss(
    objective: Objective, scores: Tensor, batch: TurnBatch
) -> tuple[Tensor, dict[str, float]]:
    """The weighted sum of the losses, and each part's value by name.

    Args:
        objective: Which losses.
        scores: [B, C].
        batch: The targets of the same turns.
    """
    parts: dict[str, Tensor] = {}
    if objective.triplet:
        parts["triplet"] = triplet_loss(
            scores, batch.labels, batch.mask, margin=objective.margin, mean=objective.mean_pairs
        )
    if objective.pointwise:
        parts["pointwise"] = pointwise_loss(
            scores, batch.labels, batch.mask, temperature=objective.temperature
        )
    if objective.listwise:
        gains = graded_gains(
            batch.similarity,
            batch.hits,
            batch.mask,
            sharpness=objective.sharpness,
            miss=objective.miss,
        )
        parts["listwise"] = listwise_loss(scores, gains, batch.mask)
    if objective.aspect:
        parts["aspect"] = aspect_loss(scores, batch.aspects, batch.promoted, batch.mask)
    total = scores.sum() * 0.0
    for name, value in parts.items():
        total = total + float(getattr(objective, name)) * value
    return total, {name: float(value.detach()) for name, value in parts.items()}
