"""What comes next whatever the candidates are: fitted once, in closed form or nearly so.

A person's next utterance is noisy. Learnt by gradient descent from some thousand turns, together
with everything else, the decision between the aspects came out below P(aspect | round), and the
topics' order below that of a ridge regression (docs/results.md). So both are fitted beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from langgraph_cooper.ranker.data.dialogue import RECENT, Utterance

FOLDS = 4

FLOOR = 1e-3
"""The least probability."""

INVERSE_PENALTY = 0.01
SPREAD = 4.0
"""Of the logistic regressions: C, with the embeddings times SPREAD beside the rounds' zeros and
ones. Fitted more freely, they do worse on other conversations than the round alone."""

RIDGE = 100.0
"""Penalty of the ridge regression; from 30 to 300 it hardly matters."""


def recent_texts(history: Sequence[Utterance]) -> list[str]:
    """The last three utterances, the newest first; empty texts where there are fewer."""
    texts = [utterance.text for utterance in history[: -RECENT - 1 : -1]]
    return texts + [""] * (RECENT - len(texts))


class Expected(NamedTuple):
    """What is expected of the next utterance of B turns."""

    aspects: Tensor
    """`[B, n_T + 1]`: probability that it promotes each aspect, and the passive one. They need
    not sum to 1: an utterance may promote several."""
    utterance: Tensor
    """`[B, n_d]`: its embedding; the shorter, the less is known."""

    def to(self, device: torch.device | str) -> Self:
        """The same on another device."""
        return self._replace(aspects=self.aspects.to(device), utterance=self.utterance.to(device))

    def of(self, rows: Sequence[int]) -> Self:
        """That of some of the turns."""
        return self._replace(aspects=self.aspects[list(rows)], utterance=self.utterance[list(rows)])


class Expectation(nn.Module):
    """P(aspect | round, last three utterances), and the next utterance's embedding given them.

    The probabilities come from one regularised logistic regression an aspect, the embedding from
    one ridge regression.

    Args:
        aspects: n_T; the passive one is one more.
        rounds: dialogue rounds told apart, later ones count as the last.
        dimension: n_d.
    """

    aspect_weight: Tensor
    aspect_bias: Tensor
    text_weight: Tensor
    text_bias: Tensor

    def __init__(self, aspects: int, rounds: int, dimension: int) -> None:
        super().__init__()
        self.rounds = rounds
        inputs = rounds + RECENT * dimension
        self.register_buffer("aspect_weight", torch.zeros(aspects + 1, inputs))
        self.register_buffer("aspect_bias", torch.zeros(aspects + 1))
        self.register_buffer("text_weight", torch.zeros(dimension, inputs))
        self.register_buffer("text_bias", torch.zeros(dimension))

    def forward(self, recent: Tensor, rounds: Tensor) -> Expected:
        """What is expected of B turns.

        Args:
            recent: `[B, 3, n_d]`, embeddings of the last three utterances, the newest first.
            rounds: `[B]` int64, from 1.
        """
        given = self._inputs(recent, rounds)
        return Expected(
            torch.sigmoid(given @ self.aspect_weight.T + self.aspect_bias),
            given @ self.text_weight.T + self.text_bias,
        )

    def fit(self, recent: Tensor, rounds: Tensor, promoted: Tensor, replies: Tensor) -> Self:
        """Fits the regressions to T turns; deterministic.

        Args:
            recent: `[T, 3, n_d]`.
            rounds: `[T]` int64.
            promoted: `[T, n_T + 1]`, 1 where the real utterance promotes the aspect.
            replies: `[T, n_d]`, embeddings of the real utterances.
        """
        from sklearn.linear_model import LogisticRegression, Ridge

        given = self._inputs(recent, rounds).numpy().astype(np.float64)
        spread = np.r_[np.ones(self.rounds), np.full(given.shape[1] - self.rounds, SPREAD)]
        for row in range(len(self.aspect_bias)):
            wanted: npt.NDArray[np.bool_] = promoted[:, row].numpy() > 0
            if wanted.all() or not wanted.any():  # nothing to tell apart
                share = torch.tensor(float(wanted.mean()))
                self.aspect_weight[row] = 0.0
                self.aspect_bias[row] = torch.logit(share, eps=FLOOR)
                continue
            regression = LogisticRegression(C=INVERSE_PENALTY, max_iter=1000)
            regression.fit(given * spread, wanted)
            self.aspect_weight[row] = torch.from_numpy(regression.coef_[0] * spread)
            self.aspect_bias[row] = float(regression.intercept_[0])
        ridge = Ridge(alpha=RIDGE).fit(given, replies.numpy().astype(np.float64))
        self.text_weight.copy_(torch.from_numpy(ridge.coef_))
        self.text_bias.copy_(torch.from_numpy(ridge.intercept_))
        return self

    def fit_apart(
        self,
        groups: npt.NDArray[np.int64],
        recent: Tensor,
        rounds: Tensor,
        promoted: Tensor,
        replies: Tensor,
    ) -> Expected:
        """What is expected of T turns by fits to the other conversations.

        Whatever is trained on top must not see expectations that know the answer.

        Args:
            groups: [T], the conversation of each turn. A single one has no others: it then gets
                the fit to itself.
            recent: as for `fit`, like the rest.
            rounds: `[T]`.
            promoted: `[T, n_T + 1]`.
            replies: `[T, n_d]`.
        """
        _, numbers = np.unique(groups, return_inverse=True)
        folds = torch.from_numpy(numbers % FOLDS)
        aspects, utterance = torch.zeros_like(promoted), torch.zeros_like(replies)
        dimension = replies.shape[1]
        for fold in range(FOLDS):
            own = folds == fold
            if not own.any():
                continue
            others = ~own if (~own).any() else own
            apart = Expectation(promoted.shape[1] - 1, self.rounds, dimension).fit(
                recent[others], rounds[others], promoted[others], replies[others]
            )
            aspects[own], utterance[own] = apart(recent[own], rounds[own])
        return Expected(aspects, utterance)

    def _inputs(self, recent: Tensor, rounds: Tensor) -> Tensor:
        """`[B, rounds + 3 n_d]`."""
        number = one_hot((rounds - 1).clamp(0, self.rounds - 1), self.rounds)
        return torch.cat([number.to(recent.dtype), recent.flatten(1)], dim=-1)
