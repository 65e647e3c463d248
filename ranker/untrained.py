"""A ranker for tasks without a checkpoint: nothing in it was trained, and it says so.

It keeps a user's own task usable from its description alone: the least progressed aspect goes
first, and within an aspect what is nearest to the conversation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from langgraph_cooper.prompts.task import PASSIVE
from langgraph_cooper.ranker.api import Progression, ScoredTopic, finite
from langgraph_cooper.ranker.data.dialogue import RECENT, Utterance, dialogue_round
from langgraph_cooper.ranker.model.encoder import DEFAULT_ENCODER, SentenceEncoder, load_encoder

if TYPE_CHECKING:
    from langgraph_cooper.prompts.task import TaskSpec

START, END = 0.1, 0.6
"""Cosines that count as progress 0 and 1: for common sentence encoders about what two unrelated
sentences of one conversation have, and what a sentence and its paraphrase have."""

NEED = 0.5
"""Weight of (1 - progress) beside a similarity, whose spread within a turn is about as large."""
EARLY, EARLY_ROUNDS = 0.1, 6
"""Bonus of a task's first aspect in the first round; it fades over the aspects and the rounds."""

Array = npt.NDArray[np.float32]


class UntrainedRanker:
    """Similarity and need, with target states from the task's own words.

    progression: the paper's formula with W = identity, over the embedded `targets` that the task
    gives for an aspect. An aspect without targets has the signal [0; s] and progress 0.

    score: cos(candidate, last three utterances) + NEED (1 - progress of its aspect) + a small
    bonus for earlier aspects in early rounds; for a passive candidate the similarity only.

    Args:
        task: its aspects' names and targets are read.
        encoder: a loaded one, or its name.
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
        """State embeddings `[N, n_d]` of unit norm; the zero vector for an empty text."""
        return self.encoder.encode(texts)

    def progression(self, aspect: str, state: str) -> Progression:
        """Analyses one aspect's state summary.

        Raises:
            ValueError: if the task has no such aspect.
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
        """Scores candidates; see the class for the formula.

        Args:
            history: the dialogue so far; may be empty.
            candidates: any number of them.
            signals: per aspect `[2, n_d]` from `progression`; an absent one counts as progress 0.

        Raises:
            ValueError: if a candidate's aspect is unknown.
        """
        if not candidates:
            return []
        recent = " ".join(utterance.text for utterance in history[-RECENT:])
        # The end of the recent talk matters most, and encoders read the beginning of a text.
        context, *topics = self.embed([recent[-1000:], *(topic for _, topic in candidates)])
        bonus = {name: self._bonus(name, history, signals) for name in self.aspects}
        scores = []
        for candidate, topic in zip(candidates, topics, strict=True):
            self._known(candidate.aspect, passive=True)
            scores.append(float(topic @ context) + bonus.get(candidate.aspect, 0.0))
        return finite(scores)

    def _attend(self, aspect: str, state: Array) -> tuple[Array, Array]:
        """Attention `[k]` and the attended target `[n_d]`; empty and zero without targets."""
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
        youth = max(0.0, 1.0 - (dialogue_round(history) - 1) / EARLY_ROUNDS)
        return NEED * (1.0 - progress) + EARLY * youth * (1.0 - place)

    def _known(self, aspect: str, *, passive: bool = False) -> None:
        known = (*self.aspects, PASSIVE) if passive else self.aspects
        if aspect not in known:
            raise ValueError(f"aspect {aspect!r} is not one of {', '.join(known)}")


def _progress(state: Array, target: Array) -> float:
    """Closeness of a state to its attended target on the scale of START and END."""
    norms = float(np.linalg.norm(state) * np.linalg.norm(target))
    if norms == 0.0:
        return 0.0
    return float(np.clip((float(state @ target) / norms - START) / (END - START), 0.0, 1.0))
