"""The offline state tracker: it extracts the sentences that bear on its aspect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from langgraph_cooper.nodes.backend import TrackerInput
from langgraph_cooper.nodes.language.text import sentences, words
from langgraph_cooper.prompts import AspectSpec
from langgraph_cooper.ranker.data.dialogue import Utterance

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Sentences to unit-norm embeddings, [N] -> [N, n_d]."""

KEEP = 4  # sentences: about as long as an LLM's summary
BEARS = 0.30  # cosine to the nearest cue above which a sentence bears on the aspect
MAX_WORDS = 40  # a longer "sentence" is text without full stops; its beginning is kept


class OfflineTracker:
    """Keeps, of what was said, the few sentences that are nearest to the aspect's cues.

    The summary is its own memory: each turn weighs its sentences against the new ones, so that the
    work of a turn does not grow with the conversation, and nothing in it was not really said.
    """

    def __init__(self, embed: Embed) -> None:
        self._embed = embed

    def __call__(self, given: TrackerInput) -> str:
        """Gives the state summary S_i, one extracted sentence a line; empty if none bears on it."""
        aspect = given["aspect"]
        kept = given["previous"].splitlines()
        known = set(kept)
        fresh = [line for line in self._lines(aspect, given["said"]) if line not in known]
        lines = [*kept, *dict.fromkeys(fresh)]
        if not lines:
            return ""
        scores = self._relevance(aspect, lines)
        bearing = [i for i in range(len(lines)) if scores[i] >= BEARS or i < len(kept)]
        best = sorted(bearing, key=lambda i: (-scores[i], i))[:KEEP]
        return "\n".join(lines[i] for i in sorted(best))

    def _lines(self, aspect: AspectSpec, said: Iterable[Utterance]) -> list[str]:
        """Each sentence of the sides that the aspect listens to; the system's in parentheses.

        A role before each sentence ("Seeker: ...") would weigh more in its embedding than what
        the sentence says.
        """
        lines = []
        for utterance in said:
            if aspect.listens_to not in ("both", utterance.speaker):
                continue
            user = utterance.speaker == "user"
            lines += [text if user else f"({text})" for text in _worth_quoting(utterance.text)]
        return lines

    def _relevance(self, aspect: AspectSpec, lines: Sequence[str]) -> NDArray[np.float32]:
        """[N] cosine of each line's sentence to the nearest of the aspect's cues."""
        cues = self._embed(aspect.cues or (aspect.summarise,))
        said = self._embed([_bare(line) for line in lines])
        nearest: NDArray[np.float32] = (said @ cues.T).max(axis=1)
        return nearest


def quotable(text: str) -> list[str]:
    """The sentences of what one side said, as the tracker embeds them: to embed them beforehand."""
    return [_bare(sentence) for sentence in _worth_quoting(text)]


def _worth_quoting(text: str) -> list[str]:
    """The sentences that say something, each no longer than is kept."""
    cut = (" ".join(sentence.split()[:MAX_WORDS]) for sentence in sentences(text))
    return [sentence for sentence in cut if len(words(sentence)) > 2]


def _bare(line: str) -> str:
    """A line of the summary without the parentheses that mark the system's sentences."""
    return line.strip("()")
