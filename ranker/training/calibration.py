"""Fitting the calibration of a trained ranker: offsets by round, and the strength.

The probabilities of the training turns come from fits to other conversations, as in the training of
the evidence: the ranker's own are surer of conversations that it was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from langgraph_cooper.prompts.task import PASSIVE, TaskSpec
from langgraph_cooper.ranker.data.dialogue import (
    LAST_ROUND,
    AnnotatedDialogue,
    DataError,
    fingerprint,
)
from langgraph_cooper.ranker.data.labels import LabelledTurn
from langgraph_cooper.ranker.evaluation.baselines import Scores
from langgraph_cooper.ranker.evaluation.coordination import (
    STRENGTHS,
    Expected,
    conversations,
)
from langgraph_cooper.ranker.evaluation.metrics import Floats
from langgraph_cooper.ranker.evaluation.rounds import (
    distance,
    promoted_shares,
    shares_by_round,
    turns_per_round,
)
from langgraph_cooper.ranker.model.calibration import (
    Calibration,
    CalibrationTuning,
    aspect_shares,
)
from langgraph_cooper.ranker.model.next_utterance import NextUtteranceModel
from langgraph_cooper.ranker.trained import TrainedRanker
from langgraph_cooper.ranker.training.evidence import evidence_scores
from langgraph_cooper.ranker.training.examples import make_examples

TARGET = 0.15
"""Distance that the strength is chosen for, on training conversations that the offsets were not
fitted to. On ESConv's validation split the distance is larger by .05: this target was chosen
there."""

QUOTA, MEMORY = 0.1, 0.9
"""Compared on 560 training conversations: without the debt (0) the conversations stay more uniform
at the same distance; a memory of 1 would save up an aspect that had no candidates for long."""

STEPS = 80
STEP = 0.3  # of the offsets, for a difference between shares
COOLING = 15.0  # steps after which the step size has halved
NEIGHBOURS = 1.0  # standard deviation, in rounds, of the smoothing of each step
MISSING = -1e9  # share of an aspect without candidates


@dataclass(frozen=True)
class ScoredTurns:
    """Training turns with the scores and probabilities of fits to other conversations.

    Attributes:
        turns: [T] labelled turns.
        scores: Their candidates' scores.
        expected: [T, A] P(aspect), the passive one last; each row sums to 1.
        aspects: [A].
    """

    turns: Sequence[LabelledTurn]
    scores: Scores
    expected: Floats
    aspects: tuple[str, ...]

    def of(self, rows: Sequence[int]) -> ScoredTurns:
        """Return some of the turns."""
        return ScoredTurns(
            [self.turns[row] for row in rows],
            [self.scores[row] for row in rows],
            self.expected[list(rows)],
            self.aspects,
        )

    def named(self) -> Expected:
        """Return P(aspect) by the aspects' names."""
        return [dict(zip(self.aspects, row.tolist(), strict=True)) for row in self.expected]


def cross_fitted(
    ranker: TrainedRanker, dialogues: Sequence[AnnotatedDialogue], task: TaskSpec
) -> ScoredTurns:
    """Score training turns by the ranker's evidence with predictions of fits to other ones.

    The evidence alone is as good as the whole ranker (docs/results.md), and takes seconds.

    Args:
        ranker: A ranker with evidence.
        dialogues: The annotated dialogues that it was trained on.
        task: Their task.

    Raises:
        DataError: The ranker has no evidence, or no turn can be used.
    """
    evidence = ranker.model.evidence
    if evidence is None:
        raise DataError("a ranker without evidence expects no aspects: it cannot be calibrated")
    # Sorted: the same dialogues give the same calibration, in any order.
    dialogues = sorted(dialogues, key=fingerprint)
    examples = make_examples(dialogues, task, ranker.embed, ranker.model.tokenizer)
    config = ranker.config
    model = NextUtteranceModel(len(config.aspects), config.rounds, config.dimension)
    examples = examples.with_cross_fit(model)
    assert examples.predicted is not None
    expected = examples.predicted.aspects.double().numpy()
    with torch.inference_mode():
        scores = evidence_scores(ranker.model, examples)
    return ScoredTurns(
        examples.turns,
        [np.asarray(values, np.float64) for values in scores],
        expected / expected.sum(axis=1, keepdims=True),
        (*task.aspect_names, PASSIVE),
    )


def fit_calibration(scored: ScoredTurns, *, target: float = TARGET) -> Calibration:
    """Fit the offsets and choose the strength.

    The offsets are the multipliers of the constraint that, at strength 1, the first choices have in
    each round the shares of the real utterances. The strength is chosen on conversations that the
    offsets were not fitted to, half against half: the weakest with a distance of at most `target`,
    or the one with the smallest distance.

    Args:
        scored: Training turns of at least two conversations.
        target: The distance.

    Raises:
        DataError: There is a single conversation.
    """
    talks = conversations(scored.turns)
    if len(talks) < 2:
        raise DataError("a calibration needs turns of at least two conversations")
    halves = [_Fit(scored.of([row for rows in talks[h::2] for row in rows])) for h in (0, 1)]
    offsets = [half.offsets() for half in halves]
    measured = [turn for half in halves for turn in half.turns]
    truth = np.concatenate([half.truth for half in halves])
    distances, precisions = {}, {}
    for strength in STRENGTHS:
        chosen = np.concatenate(
            [half.chosen(offsets[1 - h], strength) for h, half in enumerate(halves)]
        )
        distances[strength] = round(_distance(measured, truth, chosen), 4)
        precisions[strength] = round(float((chosen * (truth > 0)).sum(axis=1).mean()), 4)
    enough = [strength for strength in STRENGTHS if distances[strength] <= target]
    strength = enough[0] if enough else min(STRENGTHS, key=distances.__getitem__)
    return Calibration(
        aspects=scored.aspects,
        offsets=tuple(tuple(row) for row in _Fit(scored).offsets().round(4).tolist()),
        strength=strength,
        quota=QUOTA,
        memory=MEMORY,
        tuning=CalibrationTuning(
            dialogues=len(talks),
            turns=len(scored.turns),
            target=target,
            distances=distances,
            precisions=precisions,
        ),
    )


class _Fit:
    """Turns as arrays, so that all conversations advance by a turn at once.

    Args:
        scored: The turns.
    """

    def __init__(self, scored: ScoredTurns) -> None:
        self.turns = scored.turns
        self.expected = scored.expected
        self.truth = promoted_shares(self.turns, scored.aspects)
        self.shares = np.full(self.truth.shape, MISSING)
        for row, (turn, scores) in enumerate(zip(self.turns, scored.scores, strict=True)):
            named = aspect_shares(scores, [c.aspect for c in turn.turn.candidates])
            for aspect, share in named.items():
                self.shares[row, scored.aspects.index(aspect)] = share
        self.rounds = np.array([min(turn.round, LAST_ROUND) - 1 for turn in self.turns])
        self.talks = conversations(self.turns)

    def chosen(self, offsets: Floats, strength: float) -> Floats:
        """Return [T, A], 1 for the aspect of each first choice."""
        chosen = np.zeros_like(self.truth)
        debts = np.zeros((len(self.talks), self.truth.shape[1]))
        for step in range(max(map(len, self.talks))):
            going = [talk for talk, rows in enumerate(self.talks) if step < len(rows)]
            rows = [self.talks[talk][step] for talk in going]
            debt = MEMORY * debts[going] + self.expected[rows]
            terms = strength * (offsets[self.rounds[rows]] + QUOTA * debt)
            first = (self.shares[rows] + terms).argmax(axis=1)
            chosen[rows, first] = 1.0
            debt[np.arange(len(rows)), first] -= 1.0
            debts[going] = debt
        return chosen

    def offsets(self) -> Floats:
        """Return the offsets [R, A] of mean 0 in each round."""
        offered = (self.shares > MISSING).mean(axis=0) > 0.5  # of others no share can be asked
        wanted = shares_by_round(self.turns, self.truth) * offered
        if not offered.any():
            return np.zeros_like(wanted)
        wanted /= np.maximum(wanted.sum(axis=1, keepdims=True), 1e-9)
        smooth = self._smoothing()
        offsets: Floats = np.zeros_like(wanted)
        for step in range(STEPS):
            shares = shares_by_round(self.turns, self.chosen(offsets, 1.0))
            offsets += STEP * smooth @ (wanted - shares) / (1 + step / COOLING) * offered
            offsets -= offsets[:, offered].mean(axis=1, keepdims=True) * offered
        return offsets

    def _smoothing(self) -> Floats:
        """Return [R, R]: a round learns from its neighbours, by their numbers of turns."""
        places = np.arange(LAST_ROUND)
        near = np.exp(-0.5 * ((places[:, None] - places) / NEIGHBOURS) ** 2)
        weights: Floats = near * turns_per_round(self.turns)
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
        return weights


def _distance(turns: Sequence[LabelledTurn], truth: Floats, chosen: Floats) -> float:
    weights: npt.NDArray[np.int64] = turns_per_round(turns)
    return distance(shares_by_round(turns, truth), shares_by_round(turns, chosen), weights)
