"""Scoring whole batches of turns: in training, and to measure it."""

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

    The heads stay in float32: scores that differ in the third digit are different candidates.

    Args:
        ranker: The ranker.
        bfloat16: Run the Transformer in bfloat16.
    """

    def __init__(self, ranker: CooperRanker, *, bfloat16: bool = False) -> None:
        super().__init__()
        self.ranker = ranker
        self.in_bfloat16 = bfloat16

    def train(self, mode: bool = True) -> Self:
        """Sets the mode; layers that do not learn stay in evaluation mode, without dropout."""
        super().train(mode)
        for name, module in self.ranker.transformer.named_modules():
            whole = name == "embeddings" or name.rsplit(".", 1)[-1].isdigit()
            if whole and not any(p.requires_grad for p in module.parameters()):
                module.eval()
        return self

    def forward(
        self, tokens: TokenBatch, aspects: Tensor, states: Tensor, vectors: TurnVectors | None
    ) -> Tensor:
        """Scores B turns.

        Args:
            tokens: Input of the Transformer.
            aspects: [B, C] int64.
            states: [B, n_T, n_d] state embeddings.
            vectors: What evidence is made of; only a ranker with evidence reads it.

        Returns:
            [B, C] float32.
        """
        with torch.autocast(states.device.type, torch.bfloat16, enabled=self.in_bfloat16):
            text = self.ranker.encode(tokens)
        return self.ranker.coordinate(text.float(), aspects, self.ranker.signals(states), vectors)


def score_examples(
    scorer: TurnScorer, examples: Examples, device: torch.device, size: int = 16
) -> list[Scores]:
    """Scores [n] of every turn, in evaluation mode, in batches of turns of like length."""
    scorer.eval()
    lengths = examples.lengths()
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    scores: dict[int, Scores] = {}
    with torch.inference_mode():
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            batch = collate(examples, rows).to(device)
            tokens = scorer.ranker.tokens([examples.tokens[row] for row in rows]).to(device)
            values = (
                scorer(tokens, batch.aspects, batch.states, batch.vectors).double().cpu().numpy()
            )
            for row, line in zip(rows, values, strict=True):
                scores[row] = line[: len(examples.turns[row].labels)]
    due = examples.expected and examples.expected.aspects
    return scorer.ranker.decide([scores[row] for row in range(len(lengths))], examples.aspects, due)
