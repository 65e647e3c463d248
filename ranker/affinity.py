"""What speaks for a candidate in the sentence encoder's own space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot

from langgraph_cooper.ranker.dialogue import Utterance

RECENT = 3
"""How many of the last utterances a candidate is compared with."""

SCALE = 4.0
"""Cosines of one turn's candidates differ by about a tenth; times this they suit a small layer."""


def recent_texts(history: Sequence[Utterance]) -> list[str]:
    """The last three utterances, the newest first; empty texts where there are fewer."""
    texts = [utterance.text for utterance in history[: -RECENT - 1 : -1]]
    return texts + [""] * (RECENT - len(texts))


class TurnVectors(NamedTuple):
    """Embeddings of B turns' texts, by the encoder of the states; unit norm, zeros if empty."""

    topics: Tensor
    """`[B, C, n_d]`: the candidates."""
    recent: Tensor
    """`[B, 3, n_d]`: the last three utterances, the newest first."""

    def to(self, device: torch.device | str) -> Self:
        """The same on another device."""
        return self._replace(topics=self.topics.to(device), recent=self.recent.to(device))


class Affinity(nn.Module):
    """A score from a candidate's cosines with the last utterances and the progression signals.

    The states summarise the whole conversation, the Transformer reads only its end: a candidate
    that is near to a state, or to the target that it heads for, is about what this person has.
    The cosines with s_i and v_i of every aspect (paper, "Local Analysis", p_i = [v_i; s_i]), those
    with the last three utterances, and the candidate's aspect go through a small MLP.

    Args:
        aspects: the number of aspects n_T, without the passive one.
        progression: whether there are signals.
        width: of the hidden layer.
    """

    def __init__(self, aspects: int, *, progression: bool, width: int = 32) -> None:
        super().__init__()
        self.aspects = aspects
        self.progression = progression
        cosines = RECENT + (2 * aspects if progression else 0)
        self.hidden = nn.Linear(cosines + aspects + 1, width)
        self.output = nn.Linear(width, 1, bias=False)

    def forward(self, vectors: TurnVectors, signals: Tensor, aspects: Tensor) -> Tensor:
        """Scores B turns of C candidates.

        Args:
            vectors: of the texts.
            signals: `[B, n_T, 2, n_d]`; not read without progression.
            aspects: `[B, C]` int64.

        Returns:
            `[B, C]`.
        """
        against = vectors.recent
        if self.progression:
            against = torch.cat([against, normalize(signals.flatten(1, 2), dim=-1)], dim=1)
        cosines = torch.einsum("bcd,bxd->bcx", vectors.topics, against)
        own = one_hot(aspects, self.aspects + 1).to(cosines.dtype)
        hidden = torch.relu(self.hidden(torch.cat([SCALE * cosines, own], dim=-1)))
        scores: Tensor = self.output(hidden).squeeze(-1)
        return scores
