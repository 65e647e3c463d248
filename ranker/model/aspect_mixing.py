"""The decision between the aspects, taken into the scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from langgraph_cooper.ranker.model.next_utterance import FLOOR


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
