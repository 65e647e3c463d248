"""Baseline rankings that are not fitted to data; `aspect_prior` has the one that is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from langgraph_cooper.ranker.data.dialogue import RECENT, AnnotatedDialogue
from langgraph_cooper.ranker.data.labels import Embeddings, Encode, LabelledTurn

Scores = list[npt.NDArray[np.float64]]
"""For each turn its candidates' scores [n]."""


def random_scores(turns: Sequence[LabelledTurn], *, seed: int = 0) -> Scores:
    """Score at random: every order is equally likely."""
    generator = np.random.default_rng(seed)
    return [generator.random(len(turn.labels)) for turn in turns]


def constant_aspect_scores(turns: Sequence[LabelledTurn], aspect: str, *, seed: int = 0) -> Scores:
    """Score the candidates of one aspect above all others; break ties at random."""
    return [
        noise + np.array([candidate.aspect == aspect for candidate in turn.turn.candidates])
        for turn, noise in zip(turns, random_scores(turns, seed=seed), strict=True)
    ]


def similarity_scores(
    turns: Sequence[LabelledTurn], dialogues: Sequence[AnnotatedDialogue], encode: Encode
) -> Scores:
    """Score by the inner product of a candidate with the last three utterances, joined."""
    recent = [_recent(dialogues[turn.dialogue], turn.turn.index) for turn in turns]
    topics = [[candidate.topic for candidate in turn.turn.candidates] for turn in turns]
    embed = Embeddings([*recent, *(text for texts in topics for text in texts)], encode)
    return [
        (embed(texts) @ embed([text])[0]).astype(np.float64)
        for texts, text in zip(topics, recent, strict=True)
    ]


def _recent(dialogue: AnnotatedDialogue, index: int) -> str:
    # Oldest first, as for the published figures. An encoder that cuts long texts then loses the
    # newest words: at 256 tokens in 13 of ESConv's 2,257 valid turns.
    return " ".join(utterance.text for utterance in dialogue.history(index)[-RECENT:])
