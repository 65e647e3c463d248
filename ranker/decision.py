"""The decision between the aspects: what is due now, whatever the candidates are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from langgraph_cooper.ranker.affinity import RECENT, SCALE

STRENGTH = 0.01
"""Inverse of the regularisation: what people do next is noisy, and a decision that is fitted
freely does worse on other conversations than the round alone."""

FLOOR = 1e-3


class AspectDecision(nn.Module):
    """P(aspect | round, last three utterances), by one regularised logistic regression an aspect.

    It is fitted once and never by gradient descent, which on some thousand noisy turns learns the
    turns by heart: end to end the ranker's own decision came out below the round's prior.

    Args:
        aspects: n_T; the passive one is one more.
        rounds: dialogue rounds told apart, later ones count as the last.
        dimension: n_d.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, aspects: int, rounds: int, dimension: int) -> None:
        super().__init__()
        self.rounds = rounds
        self.register_buffer("weight", torch.zeros(aspects + 1, rounds + RECENT * dimension))
        self.register_buffer("bias", torch.zeros(aspects + 1))

    def features(self, recent: Tensor, rounds: Tensor) -> Tensor:
        """`[B, rounds + 3 n_d]` from the embeddings `[B, 3, n_d]` and rounds `[B]` from 1."""
        number = one_hot((rounds - 1).clamp(0, self.rounds - 1), self.rounds)
        return torch.cat([number.to(recent.dtype), SCALE * recent.flatten(1)], dim=-1)

    def forward(self, recent: Tensor, rounds: Tensor) -> Tensor:
        """Probabilities `[B, n_T + 1]` that the next utterance promotes each aspect.

        They need not sum to 1: an utterance may promote several aspects.
        """
        return torch.sigmoid(self.features(recent, rounds) @ self.weight.T + self.bias)

    def fit(self, recent: Tensor, rounds: Tensor, promoted: Tensor) -> None:
        """Fits the regressions to T turns; deterministic.

        Args:
            recent: `[T, 3, n_d]`.
            rounds: `[T]` int64.
            promoted: `[T, n_T + 1]`, 1 where the real utterance promotes the aspect.
        """
        from sklearn.linear_model import LogisticRegression

        features = self.features(recent, rounds).numpy().astype(np.float64)
        for row in range(len(self.bias)):
            wanted: npt.NDArray[np.bool_] = promoted[:, row].numpy() > 0
            if wanted.all() or not wanted.any():  # nothing to tell apart
                self.bias[row] = float(torch.logit(torch.tensor(float(wanted.mean())), eps=FLOOR))
                continue
            found = LogisticRegression(C=STRENGTH, max_iter=1000).fit(features, wanted)
            self.weight[row] = torch.from_numpy(found.coef_[0])
            self.bias[row] = float(found.intercept_[0])


def decide(
    scores: Sequence[float] | npt.NDArray[np.float64],
    aspects: Sequence[int],
    probabilities: Sequence[float] | npt.NDArray[np.float64],
    weight: float,
) -> npt.NDArray[np.float64]:
    """Scores in which the decision between the aspects is partly the given one.

    f'(c) = f(c) + weight (log P(a) - log-mean-exp of f over the candidates of a), a the aspect of
    c. With weight 0 nothing changes; with 1 an aspect's candidates together weigh what P says, and
    f only orders them.

    Args:
        scores: [n], f.
        aspects: [n], the aspect index of each candidate.
        probabilities: [n_T + 1], P.
        weight: in [0, 1].

    Returns:
        [n].
    """
    values = np.asarray(scores, np.float64)
    owners = np.asarray(aspects)
    decided = values.copy()
    for aspect in np.unique(owners):
        own = owners == aspect
        top = values[own].max()
        mass = top + np.log(np.mean(np.exp(values[own] - top)))
        decided[own] += weight * (np.log(max(float(probabilities[aspect]), FLOOR)) - mass)
    return decided
