"""The training objective: which losses, how weighted."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from langgraph_cooper.ranker.examples import TurnBatch
from langgraph_cooper.ranker.losses import (
    aspect_loss,
    graded_gains,
    listwise_loss,
    pointwise_loss,
    triplet_loss,
)


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
