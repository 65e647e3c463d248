"""Scoring whole batches of turns, in training and on valid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from langgraph_cooper.ranker.model.ranker import CooperRanker
from langgraph_cooper.ranker.model.tokens import TokenBatch
from langgraph_cooper.ranker.training.examples import Examples, TurnBatch, collate

TurnScores: TypeAlias = npt.NDArray[np.float64]


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

    def forward(self, tokens: TokenBatch, turns: TurnBatch) -> Tensor:
        """Compute the raw scores of B turns, for the losses: [B, C] float32."""
        signals = self.ranker.signals(turns.states)
        return self.ranker.raw_scores(self._encode(tokens), turns.aspects, signals, turns.vectors)

    def score(self, tokens: TokenBatch, turns: TurnBatch) -> Tensor:
        """Compute the ranker's scores of B turns: [B, C] float64."""
        signals, text = self.ranker.signals(turns.states), self._encode(tokens)
        return self.ranker.score(text, turns.aspects, signals, turns.vectors, turns.mask)

    def _encode(self, tokens: TokenBatch) -> Tensor:
        device = tokens.input_ids.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.in_bfloat16):
            return self.ranker.encode(tokens)


def batched(
    ranker: CooperRanker, examples: Examples, rows: Sequence[int], device: torch.device
) -> tuple[TokenBatch, TurnBatch]:
    """Collect the turns at `rows` on a device."""
    from accelerate.utils import (  # type: ignore[import-untyped,unused-ignore]
        send_to_device,
    )

    tokens = ranker.tokens([examples.tokens[row] for row in rows])
    moved: tuple[TokenBatch, TurnBatch] = send_to_device((tokens, collate(examples, rows)), device)
    return moved


def score_examples(
    scorer: TurnScorer, examples: Examples, device: torch.device, size: int = 16
) -> list[TurnScores]:
    """Score [n] the candidates of every turn, in evaluation mode and batches of similar length."""
    scorer.eval()
    lengths = examples.lengths()
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    scores: dict[int, TurnScores] = {}
    with torch.inference_mode():
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            tokens, turns = batched(scorer.ranker, examples, rows, device)
            scores |= zip(rows, unpadded(scorer.score(tokens, turns), turns.mask), strict=True)
    return [scores[row] for row in range(len(lengths))]


def unpadded(scores: Tensor, mask: Tensor) -> list[TurnScores]:
    """Split scores [B, C] into those [n] of each turn."""
    return [row[real].cpu().numpy() for row, real in zip(scores, mask, strict=True)]
