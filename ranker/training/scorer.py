"""Scoring whole batches of turns, in training and on valid."""

from __future__ import annotations

from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from langgraph_cooper.ranker.model.evidence import TurnVectors
from langgraph_cooper.ranker.model.ranker import CooperRanker
from langgraph_cooper.ranker.model.tokens import TokenBatch
from langgraph_cooper.ranker.training.examples import Examples, collate

Scores: TypeAlias = npt.NDArray[np.float64]


class TurnScorer(nn.Module):
    """`CooperRanker` from states to scores, with only the Transformer in half precision.

    The heads stay in float32: rounding in the third digit would change rankings.

    Args:
        ranker: The ranker.
        bfloat16: Run the Transformer in bfloat16.
    """

    def __init__(self, ranker: CooperRanker, *, bfloat16: bool = False) -> None:
        super().__init__()
        self.ranker = ranker
        self.in_bfloat16 = bfloat16

    def train(self, mode: bool = True) -> Self:
        """Set the mode; frozen layers stay in evaluation mode, without dropout."""
        super().train(mode)
        for name, module in self.ranker.transformer.named_modules():
            whole = name == "embeddings" or name.rsplit(".", 1)[-1].isdigit()
            if whole and not any(p.requires_grad for p in module.parameters()):
                module.eval()
        return self

    def forward(
        self, tokens: TokenBatch, aspects: Tensor, states: Tensor, vectors: TurnVectors | None
    ) -> Tensor:
        """Compute the raw scores of B turns, for the losses.

        Args:
            tokens: Input of the Transformer.
            aspects: [B, C] int64.
            states: [B, n_T, n_d] state embeddings.
            vectors: Embeddings that only a ranker with evidence reads.

        Returns:
            [B, C] float32.
        """
        signals = self.ranker.signals(states)
        return self.ranker.raw_scores(self._encode(tokens), aspects, signals, vectors)

    def score(
        self, tokens: TokenBatch, aspects: Tensor, states: Tensor, vectors: TurnVectors | None
    ) -> Tensor:
        """Compute the ranker's scores of B turns, [B, C] float64; arguments as for `forward`."""
        signals = self.ranker.signals(states)
        return self.ranker.score(self._encode(tokens), aspects, signals, vectors, tokens.mask)

    def _encode(self, tokens: TokenBatch) -> Tensor:
        device = tokens.input_ids.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.in_bfloat16):
            return self.ranker.encode(tokens)


def score_examples(
    scorer: TurnScorer, examples: Examples, device: torch.device, size: int = 16
) -> list[Scores]:
    """Score [n] the candidates of every turn, in evaluation mode and batches of similar length."""
    scorer.eval()
    lengths = examples.lengths()
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    scores: dict[int, Scores] = {}
    with torch.inference_mode():
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            batch = collate(examples, rows).to(device)
            tokens = scorer.ranker.tokens([examples.tokens[row] for row in rows]).to(device)
            found = scorer.score(tokens, batch.aspects, batch.states, batch.vectors)
            scores |= zip(rows, unpadded(found, batch.mask), strict=True)
    return [scores[row] for row in range(len(lengths))]


def unpadded(scores: Tensor, mask: Tensor) -> list[Scores]:
    """Split scores [B, C] into those [n] of each turn."""
    return [row[real].cpu().numpy() for row, real in zip(scores, mask, strict=True)]
