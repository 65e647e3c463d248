"""An untrained ranker, for tasks without a checkpoint.

It needs only a task's description: it prefers the least progressed aspect, and within an aspect the
topic nearest to the conversation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from langgraph_cooper.prompts.task import PASSIVE, TaskSpec
from langgraph_cooper.ranker.api import Array, Progression, ScoredTopic
from langgraph_cooper.ranker.data.dialogue import RECENT, Utterance, dialogue_round
from langgraph_cooper.ranker.model.config import DEFAULT_ENCODER
from langgraph_cooper.ranker.model.encoder import SentenceEncoder, load_encoder

START, END = 0.1, 0.6
"""Cosines that count as progress 0 and 1: with common sentence encoders, about those of two
unrelated sentences of one conversation, and of a sentence and its paraphrase."""

NEED = 0.5
"""Weight of (1 - progress), about the spread of similarities within a turn."""
EARLY, EARLY_ROUNDS = 0.1, 6
"""Bonus of a task's first aspect in the first round; it fades over the aspects and the rounds."""


class UntrainedRanker:
    """Scores by similarity and need, with target states from the task's own words.

    progression: the paper's formula with W = identity, over the embedded `targets` of an aspect.
    An aspect without targets has the signal [0; s] and progress 0.

    score: cos(candidate, last three utterances) + NEED (1 - progress of its aspect) + a small
    bonus for earlier aspects in early rounds; for a passive candidate the similarity only.

    Args:
        task: The task; only its aspects' names and targets are read.
        encoder: A loaded encoder, or its name.
    """

    name = "untrained"
    trained = False

    def __init__(self, task: TaskSpec, encoder: SentenceEncoder | str = DEFAULT_ENCODER) -> None:
        self.encoder = load_encoder(encoder) if isinstance(encoder, str) else encoder
        self.dimension = self.encoder.dimension
        self.aspects = tuple(aspect.name for aspect in task.aspects)
        self._texts = {aspect.name: tuple(aspect.targets) for aspect in task.aspects}
        self._targets = {name: self.encoder.encode(texts) for name, texts in self._texts.items()}

    def embed(self, texts: Sequence[str]) -> Array:
        """Return embeddings `[N, n_d]` of unit norm; the zero vector for an empty text."""
        return self.encoder.encode(texts)

    def progression(self, aspect: str, state: str) -> Progression:
        """Analyse one aspect's state summary.

        Raises:
            ValueError: The task has no such aspect.
        """
        self._known(aspect)
        (embedded,) = self.embed([state])
        attention, mixture = self._attend(aspect, embedded)
        order = sorted(range(len(attention)), key=lambda j: (-attention[j], j))
        return Progression(
            signal=np.stack([np.maximum(mixture, 0.0), embedded]).astype(np.float32),
            targets=tuple((self._texts[aspect][j], float(attention[j])) for j in order),
            progress=_progress(embedded, mixture),
        )

    def score(
        self,
        history: Sequence[Utterance],
        candidates: Sequence[ScoredTopic],
        signals: Mapping[str, Array],
    ) -> list[float]:
        """Score candidates by the formula of the class.

        Args:
            history: The dialogue so far; may be empty.
            candidates: Any number of them.
            signals: Per aspect `[2, n_d]` from `progression`; a missing one counts as progress 0.

        Raises:
            ValueError: A candidate's aspect is unknown.
        """
        if not candidates:
            return []
        recent = " ".join(utterance.text for utterance in history[-RECENT:])
        # The end matters most, and encoders read the beginning of a text.
        context, *topics = self.embed([recent[-1000:], *(topic for _, topic in candidates)])
        bonus = {name: self._bonus(name, history, signals) for name in self.aspects}
        scores = []
        for candidate, topic in zip(candidates, topics, strict=True):
            self._known(candidate.aspect, passive=True)
            scores.append(float(topic @ context) + bonus.get(candidate.aspect, 0.0))
        return scores

    def _attend(self, aspect: str, state: Array) -> tuple[Array, Array]:
        """Return attention `[k]` and attended target `[n_d]`; empty and zero without targets."""
        targets = self._targets[aspect]
        if not len(targets):
            return np.zeros(0, dtype=np.float32), np.zeros(self.dimension, dtype=np.float32)
        energies = targets @ state
        attention = np.exp(energies - energies.max())
        attention /= attention.sum()
        return attention, attention @ targets

    def _bonus(
        self, aspect: str, history: Sequence[Utterance], signals: Mapping[str, Array]
    ) -> float:
        progress = 0.0
        if aspect in signals:
            state = np.asarray(signals[aspect], dtype=np.float32)[1]
            progress = _progress(state, self._attend(aspect, state)[1])
        place = self.aspects.index(aspect) / max(len(self.aspects) - 1, 1)  # 0 first, 1 last
        earliness = max(0.0, 1.0 - (dialogue_round(history) - 1) / EARLY_ROUNDS)
        return NEED * (1.0 - progress) + EARLY * earliness * (1.0 - place)

    def _known(self, aspect: str, *, passive: bool = False) -> None:
        known = (*self.aspects, PASSIVE) if passive else self.aspects
        if aspect not in known:
            raise ValueError(f"aspect {aspect!r} is not one of {', '.join(known)}")


def _progress(state: Array, target: Array) -> float:
    """Return the closeness of a state to its attended target, on the scale of START and END."""
    norms = float(np.linalg.norm(state) * np.linalg.norm(target))
    if norms == 0.0:
        return 0.0
    return float(np.clip((float(state @ target) / norms - START) / (END - START), 0.0, 1.0))
