"""Ranking at inference: the interface that the graph's nodes use, and how a ranker is loaded.

Torch is imported when a trained ranker is loaded, not with this module.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from langgraph_cooper.ranker.checkpoint import (
    check_aspects,
    check_encoder,
    checkpoint_folder,
    read_config,
)
from langgraph_cooper.ranker.config import Form
from langgraph_cooper.ranker.dialogue import Utterance
from langgraph_cooper.ranker.encoder import load_encoder

if TYPE_CHECKING:
    from langgraph_cooper.ranker.trained import TrainedRanker

Array = npt.NDArray[np.float32]
Precision = Literal["auto", "float32", "bfloat16"]


class Progression(NamedTuple):
    """What the progression analysis module of one aspect says about a state."""

    signal: Array
    """`[2, n_d]`: p = [v; s]."""
    targets: tuple[tuple[str, float], ...]
    """Typical target states as text with their attention weights, heaviest first."""
    progress: float
    """In [0, 1]; its scale is the ranker's (see `ProgressionModule`)."""


class ScoredTopic(NamedTuple):
    """A topic candidate to be scored."""

    aspect: str
    topic: str


class Ranker(Protocol):
    """Embeds states, analyses progression and scores topic candidates."""

    name: str
    trained: bool
    dimension: int

    def embed(self, texts: Sequence[str]) -> Array:
        """State embeddings `[N, n_d]` of unit norm; the zero vector for an empty text."""
        ...

    def progression(self, aspect: str, state: str) -> Progression:
        """Analyses one aspect's state summary."""
        ...

    def score(
        self,
        history: Sequence[Utterance],
        candidates: Sequence[ScoredTopic],
        signals: Mapping[str, Array],
    ) -> list[float]:
        """Scores candidates, given the progression signal `[2, n_d]` of every aspect."""
        ...


def finite(scores: Sequence[float]) -> list[float]:
    """Scores in the same order without NaN and infinities; NaN and -inf become the lowest.

    Sorting by a NaN leaves an arbitrary order, and JSON has no word for one.
    """
    real = [score for score in scores if math.isfinite(score)]
    low, high = (min(real) - 1.0, max(real) + 1.0) if real else (0.0, 1.0)
    return [
        score if math.isfinite(score) else high if score == math.inf else low for score in scores
    ]


_rankers: dict[tuple[str, str, Precision, Form | None], TrainedRanker] = {}
_rankers_lock = RLock()


def load_ranker(
    folder: str | Path,
    *,
    aspects: Sequence[str] | None = None,
    encoder: str | None = None,
    precision: Precision = "auto",
    form: Form | None = None,
) -> TrainedRanker:
    """The process's one ranker of that checkpoint; safe to call from several threads at once.

    Args:
        folder: a checkpoint folder or hub name.
        aspects: the aspects of the task it shall rank, in order; not checked if omitted.
        encoder: where to load the sentence encoder from, if not by the name in the checkpoint.
        precision: see `TrainedRanker`.
        form: see `TrainedRanker`.

    Raises:
        CheckpointError: if the checkpoint is missing, damaged, or of other aspects or encoder.
        EncoderError: if the encoder cannot be loaded.
    """
    with _rankers_lock:
        path = checkpoint_folder(folder).resolve()
        config = read_config(path)
        if aspects is not None:
            check_aspects(config, aspects, path)
        name = encoder or config.encoder
        key = (str(path), name, precision, form)
        if key not in _rankers:
            # Only now torch and the model classes, after the cheap checks.
            from langgraph_cooper.ranker.model import CooperRanker
            from langgraph_cooper.ranker.trained import TrainedRanker

            loaded = load_encoder(name)
            check_encoder(config, loaded, path)
            model = CooperRanker.from_pretrained(path)
            _rankers[key] = TrainedRanker(model, loaded, precision=precision, form=form)
        return _rankers[key]
