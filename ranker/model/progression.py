"""The progression analysis module (paper, "Local Analysis"): an aspect's way to its target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

EMPTY_NORM = 1e-6
"""Largest norm of the embedding of an empty summary."""


class ProgressionOutput(NamedTuple):
    """The analysis of a batch of states of one aspect."""

    signal: Tensor
    """`[B, 2, n_d]`: p = [v; s]."""
    attention: Tensor
    """`[B, k]`: alpha, which sums to 1."""
    closeness: Tensor
    """`[B]`: cosine between the state and the attended target; 0 for an empty state."""
    progress: Tensor
    """`[B]` in [0, 1]."""


class ProgressionModule(nn.Module):
    """Attention of a state over the typical target states.

    h_j = (W s) . (W e_j),  alpha = softmax(h),  v = ReLU(sum_j alpha_j e_j),  p = [v; s].

    The progress figure is for readers and not in the paper. It takes the cosine between the state
    and the attended target (before the ReLU), and tells the share of training conversations that
    ended farther from their target, by a normal approximation.

    Args:
        targets: `[k, n_d]` typical target states e_j.
        texts: k texts, the training summary nearest to each.
        calibration: Mean and standard deviation of that cosine over the training conversations'
            final states.
        generator: For the noise of W.

    Raises:
        ValueError: Targets and texts differ in number.
    """

    targets: Tensor
    calibration: Tensor

    def __init__(
        self,
        targets: Tensor,
        texts: Sequence[str],
        calibration: tuple[float, float] = (0.0, 1.0),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if targets.ndim != 2 or len(texts) != len(targets):
            raise ValueError(
                f"targets must be [k, n_d] with k texts, not {tuple(targets.shape)}, {len(texts)}"
            )
        self.texts = tuple(texts)
        dimension = targets.shape[1]
        # Near the identity, W starts as the encoder's own similarity and attends to targets near
        # the state. A random W would attend to all targets alike, and little gradient passes a
        # flat softmax. The noise breaks W's symmetry.
        noise = torch.randn(dimension, dimension, generator=generator) * (0.01 / dimension**0.5)
        self.weight = nn.Parameter(torch.eye(dimension) + noise)
        self.register_buffer("targets", targets.detach().clone().float())
        # Saved with the configuration, readable and in full precision.
        span = torch.tensor(calibration, dtype=torch.float32)
        self.register_buffer("calibration", span, persistent=False)

    def forward(self, states: Tensor) -> ProgressionOutput:
        """Analyse B states `[B, n_d]`."""
        queries = states @ self.weight.T  # W s: [B, n_d]
        keys = self.targets @ self.weight.T  # W e_j: [k, n_d]
        attention = torch.softmax(queries @ keys.T, dim=-1)  # [B, k]
        mixture = attention @ self.targets  # [B, n_d]
        signal = torch.stack([torch.relu(mixture), states], dim=1)  # [B, 2, n_d]
        closeness = nn.functional.cosine_similarity(states, mixture, dim=-1)
        return ProgressionOutput(signal, attention, closeness, self._progress(states, closeness))

    @torch.no_grad()
    def calibrate(self, finals: Tensor) -> None:
        """Calibrate the progress figure so that half of the final states `[N, n_d]` exceed 0.5.

        The cosines depend on W: call it again after W has changed.
        """
        near = self(finals).closeness
        self.calibration.copy_(torch.stack([near.mean(), near.std(correction=0)]))

    def _progress(self, states: Tensor, closeness: Tensor) -> Tensor:
        mean, deviation = self.calibration
        # Identical final states (too little data) must not divide by zero.
        progress = torch.special.ndtr((closeness - mean) / torch.clamp(deviation, min=1e-3))
        return torch.where(states.norm(dim=-1) > EMPTY_NORM, progress, torch.zeros_like(progress))
