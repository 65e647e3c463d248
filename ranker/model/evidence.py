"""The part of the score that compares embeddings of the sentence encoder, without Transformer."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from langgraph_cooper.ranker.data.dialogue import RECENT
from langgraph_cooper.ranker.model.next_utterance import (
    FLOOR,
    NextUtteranceModel,
    NextUtterancePrediction,
)


class TurnVectors(NamedTuple):
    """The inputs of the evidence: B turns in the encoder's embedding space."""

    topics: Tensor
    """`[B, C, n_d]`: the candidates, unit norm; zeros where padded or empty."""
    recent: Tensor
    """`[B, 3, n_d]`: the last three utterances, the newest first; likewise."""
    rounds: Tensor
    """`[B]` int64: the dialogue rounds, from 1."""
    predicted: NextUtterancePrediction


class Evidence(nn.Module):
    """A score from a candidate's embedding and its products with recent and predicted utterances.

    e(c) = MLP(x, a) + w . c + R[round, a], with a the candidate's aspect and x its features: its
    cosines with the last three utterances, its product with the predicted one, and
    log P(a | round, last three utterances). Progression signals are no features: here they added
    nothing and, where a language model wrote the states, did harm (docs/results-signals.md).

    Args:
        aspects: n_T, without the passive one.
        rounds: Number of dialogue rounds to distinguish.
        dimension: n_d.
        width: Size of the hidden layer. The wider, the less the initial weights matter.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, aspects: int, rounds: int, dimension: int, *, width: int = 128) -> None:
        super().__init__()
        self.aspects = aspects
        # The attribute names its tensors in every checkpoint.
        self.expectation = NextUtteranceModel(aspects, rounds, dimension)
        self.register_buffer("mean", torch.zeros(RECENT + 2))
        self.register_buffer("deviation", torch.ones(RECENT + 2))
        self.hidden = nn.Linear(RECENT + 2 + aspects + 1, width)
        self.output = nn.Linear(width, 1, bias=False)
        self.topic = nn.Linear(dimension, 1, bias=False)
        self.rounds = nn.Embedding(rounds, aspects + 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial weights, by the global generator."""
        self.hidden.reset_parameters()
        self.output.reset_parameters()
        nn.init.zeros_(self.topic.weight)
        nn.init.zeros_(self.rounds.weight)

    def vectors(self, topics: Tensor, recent: Tensor, rounds: Tensor) -> TurnVectors:
        """Complete the embeddings of B turns by the predicted next utterance."""
        return TurnVectors(topics, recent, rounds, self.expectation(recent, rounds))

    def forward(self, vectors: TurnVectors, aspects: Tensor) -> Tensor:
        """Score B turns of C candidates.

        Args:
            vectors: Embeddings of the turns.
            aspects: `[B, C]` int64.

        Returns:
            `[B, C]`.
        """
        inputs = (self.features(vectors, aspects) - self.mean) / self.deviation
        own = one_hot(aspects, self.aspects + 1).to(inputs.dtype)
        hidden = torch.relu(self.hidden(torch.cat([inputs, own], dim=-1)))
        scores: Tensor = self.output(hidden).squeeze(-1)
        topic: Tensor = self.topic(vectors.topics).squeeze(-1)
        last = self.rounds.num_embeddings - 1
        by_round: Tensor = self.rounds((vectors.rounds - 1).clamp(0, last))  # [B, n_T + 1]
        return scores + topic + by_round.gather(1, aspects)

    def features(self, vectors: TurnVectors, aspects: Tensor) -> Tensor:
        """Return x `[B, C, 5]`."""
        utterances = torch.cat([vectors.recent, vectors.predicted.utterance[:, None]], dim=1)
        products = torch.einsum("bcd,bxd->bcx", vectors.topics, utterances)
        log_p = vectors.predicted.aspects.clamp(min=FLOOR).log().gather(1, aspects)
        return torch.cat([products, log_p[:, :, None]], dim=-1)

    def standardise(self, features: Tensor) -> None:
        """Set mean and deviation by the features `[N, 5]` of all candidates."""
        self.mean.copy_(features.mean(dim=0))
        self.deviation.copy_(features.std(dim=0).clamp(min=1e-3))
