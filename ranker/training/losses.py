"""Ranking losses: pure functions of scores, labels and a mask.

All take `scores` [B, N] float, `labels` [B, N] with n for the best of a turn's n candidates and 1
for the worst, and `mask` [B, N] bool, False where a turn has fewer than N candidates. Masked places
influence neither value nor gradient. Each loss is the mean over the turns of the batch. `Objective`
holds their constants.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional

from langgraph_cooper.ranker.model.ranker import MASKED, aspect_logits
from langgraph_cooper.ranker.training.examples import TurnBatch


class Objective(BaseModel):
    """Weights and constants of the losses; a loss of weight 0 is not computed.

    Attributes:
        triplet: Weight of L_t; alpha in the paper.
        pointwise: Weight of L_p; 1 - alpha in the paper.
        listwise: Weight of the graded listwise loss.
        aspect: Weight of the aspect loss.
        margin: tau of L_t.
        mean_pairs: Take the mean over a turn's pairs in L_t; the paper sums.
        temperature: Temperature of the soft positions of L_p.
        sharpness: Inverse temperature of the listwise gains.
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
        """Return the paper's L_R = alpha L_t + (1 - alpha) L_p."""
        return cls(triplet=alpha, pointwise=1.0 - alpha, listwise=0.0, aspect=0.0)


def _pairs(mask: Tensor) -> Tensor:
    """Return [B, N, N] bool: both candidates are real."""
    return mask.unsqueeze(2) & mask.unsqueeze(1)


def _differences(scores: Tensor, mask: Tensor) -> Tensor:
    """Return [B, N, N]: score of i less score of j, 0 where either is masked."""
    safe = scores.masked_fill(~mask, 0.0)
    return (safe.unsqueeze(2) - safe.unsqueeze(1)).masked_fill(~_pairs(mask), 0.0)


def triplet_loss(
    scores: Tensor, labels: Tensor, mask: Tensor, *, margin: float, mean: bool = False
) -> Tensor:
    """Compute the margin loss over all ordered pairs of a turn (paper, "Training", L_t).

    L_t = sum over label(a) < label(b) of max(0, f(a) - f(b) + margin).

    Args:
        scores: [B, N].
        labels: [B, N].
        mask: [B, N].
        margin: tau in the paper.
        mean: Divide by the number of pairs, so that all turns weigh the same; the paper sums.

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
    """Compute differentiable ranking positions g: n for the highest score, as for the labels.

    g_i = 1 + sum over j != i of sigmoid((s_i - s_j) / temperature). At a temperature
    near 0 this is the hard position, which has no gradient.

    Returns:
        [B, N]; masked places hold 0.
    """
    ahead = torch.sigmoid(_differences(scores, mask) / temperature) * _pairs(mask)
    itself = torch.diagonal(ahead, dim1=1, dim2=2)
    return (1.0 + ahead.sum(dim=2) - itself) * mask


def pointwise_loss(scores: Tensor, labels: Tensor, mask: Tensor, *, temperature: float) -> Tensor:
    """Compute the mean squared error of predicted positions (paper, "Training", L_p)."""
    errors = (labels.to(scores.dtype) - soft_positions(scores, mask, temperature=temperature)) ** 2
    return ((errors * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)).mean()


def listwise_loss(scores: Tensor, gains: Tensor, mask: Tensor) -> Tensor:
    """Compute the cross-entropy between gains and the softmax of the scores (ListNet).

    Where the gains are concentrated at the top, only the order there matters, whereas the paper's
    labels weigh a dozen noisy positions alike.

    Args:
        scores: [B, N].
        gains: [B, N], not negative; normalised per turn. A turn without gains adds nothing.
        mask: [B, N].
    """
    wanted = gains.masked_fill(~mask, 0.0)
    total = wanted.sum(dim=1)
    wanted = wanted / total.clamp(min=1e-12).unsqueeze(1)
    # The finite MASKED keeps 0 * log(0) out of the sum.
    logs = torch.log_softmax(scores.masked_fill(~mask, MASKED), dim=1).masked_fill(~mask, 0.0)
    return (-(wanted * logs).sum(dim=1) * (total > 0)).mean()


def graded_gains(
    similarity: Tensor, hits: Tensor, mask: Tensor, *, sharpness: float, miss: float = 0.0
) -> Tensor:
    """Compute gains for `listwise_loss`: the softmax of similarity among the hits.

    Args:
        similarity: [B, N], inner products with the real utterance.
        hits: [B, N] bool, whether a candidate promotes an aspect of the real utterance.
        mask: [B, N].
        sharpness: Inverse temperature of the softmax; the larger, the more the best hit counts.
        miss: Share of the gains for the other candidates, by similarity too.

    Returns:
        [B, N]; a turn's gains sum to 1, or to `miss` or 1 - `miss` where one group is empty.
    """

    def spread(members: Tensor) -> Tensor:
        logits = (similarity * sharpness).masked_fill(~members, MASKED)
        return torch.softmax(logits, dim=1) * members

    return (1.0 - miss) * spread(hits & mask) + miss * spread(~hits & mask)


def aspect_loss(scores: Tensor, aspects: Tensor, promoted: Tensor, mask: Tensor) -> Tensor:
    """Compute the cross-entropy of the decision between the aspects that have candidates.

    The target is uniform over the promoted ones among them.

    Args:
        scores: [B, N].
        aspects: [B, N] int64, index of each candidate's aspect.
        promoted: [B, A], 1 where the real utterance promotes the aspect.
        mask: [B, N].
    """
    logits, present = aspect_logits(scores, aspects, mask, promoted.shape[1])
    return listwise_loss(logits, promoted.to(scores.dtype), present)


def total_loss(
    objective: Objective, scores: Tensor, batch: TurnBatch
) -> tuple[Tensor, dict[str, float]]:
    """Compute the weighted sum of the losses, and the value of each by name.

    Args:
        objective: Weights and constants.
        scores: [B, C], raw scores.
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
        shape = {"sharpness": objective.sharpness, "miss": objective.miss}
        gains = graded_gains(batch.similarity, batch.hits, batch.mask, **shape)
        parts["listwise"] = listwise_loss(scores, gains, batch.mask)
    if objective.aspect:
        parts["aspect"] = aspect_loss(scores, batch.aspects, batch.promoted, batch.mask)
    total = scores.sum() * 0.0
    for name, value in parts.items():
        total = total + float(getattr(objective, name)) * value
    return total, {name: float(value.detach()) for name, value in parts.items()}
