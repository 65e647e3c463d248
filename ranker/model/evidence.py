"""What speaks for a candidate in the sentence encoder's own space."""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from langgraph_cooper.ranker.data.dialogue import RECENT
from langgraph_cooper.ranker.model.next_utterance import FLOOR, Expectation, Expected


class TurnVectors(NamedTuple):
    """What evidence is made of: B turns in the space of the encoder of the states."""

    topics: Tensor
    """`[B, C, n_d]`: the candidates, unit norm; zeros where padded or empty."""
    recent: Tensor
    """`[B, 3, n_d]`: the last three utterances, the newest first; likewise."""
    rounds: Tensor
    """`[B]` int64: the dialogue rounds, from 1."""
    expected: Expected
    """What is expected of the next utterance."""

    def to(self, device: torch.device | str) -> Self:
        """The same on another device."""
        return self._replace(
            topics=self.topics.to(device),
            recent=self.recent.to(device),
            rounds=self.rounds.to(device),
            expected=self.expected.to(device),
        )


class Evidence(nn.Module):
    """A score from a candidate's own embedding and from its products with others.

    e(c) = MLP(x) + w . c + R[round, a], with a the candidate's aspect and x made of its cosines
    with the last three utterances, its product with the expected one, log P(a | round, last three
    utterances), and a itself. Progression signals are not among them: here they added nothing
    and, where a language model wrote the states, did harm (docs/results.md).

    Args:
        aspects: n_T, without the passive one.
        rounds: dialogue rounds told apart.
        dimension: n_d.
        width: of the hidden layer; the wider, the less its first weights matter.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, aspects: int, rounds: int, dimension: int, *, width: int = 128) -> None:
        super().__init__()
        self.aspects = aspects
        self.expectation = Expectation(aspects, rounds, dimension)
        self.register_buffer("mean", torch.zeros(RECENT + 2))
        self.register_buffer("deviation", torch.ones(RECENT + 2))
        self.hidden = nn.Linear(RECENT + 2 + aspects + 1, width)
        self.output = nn.Linear(width, 1, bias=False)
        self.topic = nn.Linear(dimension, 1, bias=False)
        self.rounds = nn.Embedding(rounds, aspects + 1)
        self.begin()

    def begin(self) -> None:
        """Draws the first weights anew, by the global generator."""
        self.hidden.reset_parameters()
        self.output.reset_parameters()
        nn.init.zeros_(self.topic.weight)
        nn.init.zeros_(self.rounds.weight)

    def vectors(self, topics: Tensor, recent: Tensor, rounds: Tensor) -> TurnVectors:
        """Completes the texts' embeddings by what is expected."""
        return TurnVectors(topics, recent, rounds, self.expectation(recent, rounds))

    def forward(self, vectors: TurnVectors, aspects: Tensor) -> Tensor:
        """Scores B turns of C candidates.

        Args:
            vectors: of the texts.
            aspects: `[B, C]` int64.

        Returns:
            `[B, C]`.
        """
        inputs = (self.products(vectors, aspects) - self.mean) / self.deviation
        own = one_hot(aspects, self.aspects + 1).to(inputs.dtype)
        hidden = torch.relu(self.hidden(torch.cat([inputs, own], dim=-1)))
        scores: Tensor = self.output(hidden).squeeze(-1)
        topic: Tensor = self.topic(vectors.topics).squeeze(-1)
        last = self.rounds.num_embeddings - 1
        due: Tensor = self.rounds((vectors.rounds - 1).clamp(0, last))  # [B, n_T + 1]
        return scores + topic + due.gather(1, aspects)

    def products(self, vectors: TurnVectors, aspects: Tensor) -> Tensor:
        """All of x but a: `[B, C, 5]`."""
        against = torch.cat([vectors.recent, vectors.expected.utterance[:, None]], dim=1)
        cosines = torch.einsum("bcd,bxd->bcx", vectors.topics, against)
        due = vectors.expected.aspects.clamp(min=FLOOR).log().gather(1, aspects)
        return torch.cat([cosines, due[:, :, None]], dim=-1)

    def standardise(self, products: Tensor) -> None:
        """Takes mean and deviation from all candidates' products `[N, 5]`."""
        self.mean.copy_(products.mean(dim=0))
        self.deviation.copy_(products.std(dim=0).clamp(min=1e-3))
