"""Prediction of the next utterance's aspects and embedding by logistic and ridge regression.

The prediction does not depend on the candidates. Both regressions are fitted before the rest of the
ranker. A person's next utterance is noisy: trained by gradient descent on a few thousand turns
together with everything else, the decision between the aspects was worse than P(aspect | round),
and the order of the topics worse than by ridge regression (docs/results-attempts.md).
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
"""Folds of the cross-fit."""

FLOOR = 1e-3
"""Smallest probability of an aspect."""

INVERSE_PENALTY = 0.01
"""C of the logistic regressions."""
EMBEDDING_SCALE = 4.0
"""Factor on the embeddings, beside one-hot rounds, in the logistic regressions. With a weaker
penalty or a larger factor they do worse on other conversations than the round alone."""

RIDGE = 100.0
"""Penalty of the ridge regression; values from 30 to 300 make little difference."""


def recent_texts(history: Sequence[Utterance]) -> list[str]:
    """Return the last three utterances, the newest first; empty texts where there are fewer."""
    texts = [utterance.text for utterance in history[: -RECENT - 1 : -1]]
    return texts + [""] * (RECENT - len(texts))


class NextUtterancePrediction(NamedTuple):
    """The predicted next utterance of B turns."""

    aspects: Tensor
    """`[B, n_T + 1]`: probability that it promotes each aspect, the passive one last. They need
    not sum to 1: an utterance may promote several."""
    utterance: Tensor
    """`[B, n_d]`: its embedding; the shorter, the less certain."""

    def of(self, rows: Sequence[int]) -> Self:
        """Return the predictions of some of the turns."""
        return self._replace(aspects=self.aspects[list(rows)], utterance=self.utterance[list(rows)])


class NextUtteranceModel(nn.Module):
    """P(aspect | round, last three utterances), and the next utterance's embedding given them.

    Args:
        aspects: n_T, without the passive one.
        rounds: Number of dialogue rounds to distinguish; later rounds count as the last.
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

    def forward(self, recent: Tensor, rounds: Tensor) -> NextUtterancePrediction:
        """Predict the next utterance of B turns.

        Args:
            recent: `[B, 3, n_d]`, embeddings of the last three utterances, the newest first.
            rounds: `[B]` int64, from 1.
        """
        inputs = self._inputs(recent, rounds)
        return NextUtterancePrediction(
            torch.sigmoid(inputs @ self.aspect_weight.T + self.aspect_bias),
            inputs @ self.text_weight.T + self.text_bias,
        )

    def fit(self, recent: Tensor, rounds: Tensor, promoted: Tensor, replies: Tensor) -> Self:
        """Fit the regressions to T turns; deterministic.

        Args:
            recent: `[T, 3, n_d]`.
            rounds: `[T]` int64.
            promoted: `[T, n_T + 1]`, 1 where the real utterance promotes the aspect.
            replies: `[T, n_d]`, embeddings of the real utterances.
        """
        from sklearn.linear_model import LogisticRegression, Ridge

        inputs = self._inputs(recent, rounds).numpy().astype(np.float64)
        scale = np.full(inputs.shape[1], EMBEDDING_SCALE)
        scale[: self.rounds] = 1.0
        for row in range(len(self.aspect_bias)):
            labels: npt.NDArray[np.bool_] = promoted[:, row].numpy() > 0
            if labels.all() or not labels.any():  # only one class
                self.aspect_weight[row] = 0.0
                self.aspect_bias[row] = torch.logit(torch.tensor(float(labels.mean())), eps=FLOOR)
                continue
            regression = LogisticRegression(C=INVERSE_PENALTY, max_iter=1000)
            regression.fit(inputs * scale, labels)
            self.aspect_weight[row] = torch.from_numpy(regression.coef_[0] * scale)
            self.aspect_bias[row] = float(regression.intercept_[0])
        ridge = Ridge(alpha=RIDGE).fit(inputs, replies.numpy().astype(np.float64))
        self.text_weight.copy_(torch.from_numpy(ridge.coef_))
        self.text_bias.copy_(torch.from_numpy(ridge.intercept_))
        return self

    def cross_fit(
        self,
        groups: npt.NDArray[np.int64],
        recent: Tensor,
        rounds: Tensor,
        promoted: Tensor,
        replies: Tensor,
    ) -> NextUtterancePrediction:
        """Predict T turns, each by a fit to other conversations.

        A model trained on these predictions must not see ones that know the answer.

        Args:
            groups: [T], the conversation of each turn. A single conversation is fitted to itself.
            recent: As for `fit`, like the rest.
            rounds: `[T]`.
            promoted: `[T, n_T + 1]`.
            replies: `[T, n_d]`.
        """
        _, numbers = np.unique(groups, return_inverse=True)
        folds = torch.from_numpy(numbers % FOLDS)
        aspects, utterance = torch.zeros_like(promoted), torch.zeros_like(replies)
        for fold in range(FOLDS):
            own = folds == fold
            if not own.any():
                continue
            others = ~own if (~own).any() else own
            model = NextUtteranceModel(promoted.shape[1] - 1, self.rounds, replies.shape[1]).fit(
                recent[others], rounds[others], promoted[others], replies[others]
            )
            aspects[own], utterance[own] = model(recent[own], rounds[own])
        return NextUtterancePrediction(aspects, utterance)

    def _inputs(self, recent: Tensor, rounds: Tensor) -> Tensor:
        """Return `[B, rounds + 3 n_d]`."""
        number = one_hot((rounds - 1).clamp(0, self.rounds - 1), self.rounds)
        return torch.cat([number.to(recent.dtype), recent.flatten(1)], dim=-1)
