"""Rankings that learn next to nothing, and are strong: a trained ranker has to beat them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from langgraph_cooper.ranker.annotated import AnnotatedDialogue
from langgraph_cooper.ranker.labels import Embeddings, Encode, LabelledTurn
from langgraph_cooper.ranker.metrics import measure

Scores = list[npt.NDArray[np.float64]]
"""For each turn its candidates' scores [n]."""

RECENT = 3
"""How many of the last utterances the similarity baseline looks at."""

WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0)
"""Weights of the similarity that are tried on valid."""


def random_scores(turns: Sequence[LabelledTurn], *, seed: int = 0) -> Scores:
    """Every order is as likely as any other."""
    generator = np.random.default_rng(seed)
    return [generator.random(len(turn.labels)) for turn in turns]


def constant_aspect_scores(turns: Sequence[LabelledTurn], aspect: str, *, seed: int = 0) -> Scores:
    """One aspect always first, within and behind it at random."""
    return [
        noise + np.array([candidate.aspect == aspect for candidate in turn.turn.candidates])
        for turn, noise in zip(turns, random_scores(turns, seed=seed), strict=True)
    ]


def commonest_aspect(train: Sequence[Promoting]) -> str:
    """The aspect that real utterances promote most often."""
    counts = Counter(aspect for turn in train for aspect in sorted(turn.promoted))
    return counts.most_common(1)[0][0]


def similarity_scores(
    turns: Sequence[LabelledTurn], dialogues: Sequence[AnnotatedDialogue], encode: Encode
) -> Scores:
    """Inner product of each candidate with the last three utterances, joined with spaces."""
    recent = [_recent(dialogues[turn.dialogue], turn.turn.index) for turn in turns]
    topics = [[candidate.topic for candidate in turn.turn.candidates] for turn in turns]
    embed = Embeddings([*recent, *(text for texts in topics for text in texts)], encode)
    return [
        (embed(texts) @ embed([text])[0]).astype(np.float64)
        for texts, text in zip(topics, recent, strict=True)
    ]


def _recent(dialogue: AnnotatedDialogue, index: int) -> str:
    said = dialogue.utterances[max(0, index - RECENT) : index]
    return " ".join(utterance.text for utterance in said)


class Promoting(Protocol):
    """A turn of which only the round and what the real utterance promotes matter."""

    @property
    def round(self) -> int:
        """Dialogue round, from 1."""
        ...

    @property
    def promoted(self) -> frozenset[str]:
        """The aspects that the real utterance promotes."""
        ...


class RoundPrior:
    """P(aspect | round): how often training utterances of a round promote an aspect.

    Args:
        train: Labelled training turns.
        last: Rounds from this one on count as one; the tail is thin.
        smoothing: Turns of the overall distribution that are added to each round's counts.
    """

    def __init__(
        self, train: Sequence[Promoting], *, last: int = 15, smoothing: float = 5.0
    ) -> None:
        self._last = last
        counts: dict[int, Counter[str]] = defaultdict(Counter)
        totals: Counter[int] = Counter()
        for turn in train:
            number = min(turn.round, last)
            totals[number] += 1
            counts[number].update(turn.promoted)
        everywhere: Counter[str] = Counter()
        for counter in counts.values():
            everywhere.update(counter)
        self._overall = {a: n / max(totals.total(), 1) for a, n in everywhere.items()}
        self._by_round = {
            number: {
                aspect: (counts[number][aspect] + smoothing * share) / (totals[number] + smoothing)
                for aspect, share in self._overall.items()
            }
            for number in totals
        }

    def probability(self, aspect: str, number: int) -> float:
        """P(aspect | round `number`); of a round never seen, the overall share."""
        table = self._by_round.get(min(number, self._last), self._overall)
        return table.get(aspect, 0.0)

    def scores(self, turns: Sequence[LabelledTurn], similarity: Scores, *, weight: float) -> Scores:
        """P(aspect | round) + weight * similarity, for the candidates of each turn."""
        return [
            np.array([self.probability(c.aspect, turn.round) for c in turn.turn.candidates])
            + weight * similar
            for turn, similar in zip(turns, similarity, strict=True)
        ]

    def tune(
        self,
        valid: Sequence[LabelledTurn],
        similarity: Scores,
        *,
        metric: str = "hit@3",
        weights: Sequence[float] = WEIGHTS,
    ) -> float:
        """The weight that ranks the valid turns best by `metric`; of equals the first."""

        def figure(weight: float) -> float:
            return measure(valid, self.scores(valid, similarity, weight=weight)).means()[metric]

        return max(weights, key=figure)
