"""The offline state tracker: extracts the sentences that are relevant to its aspect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from langgraph_cooper.nodes.backend import TrackerInput
from langgraph_cooper.nodes.language.text import sentences, words
from langgraph_cooper.prompts import AspectSpec
from langgraph_cooper.ranker.data.dialogue import Utterance
from langgraph_cooper.ranker.model.computing import product

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Maps sentences to unit-norm embeddings, [N] -> [N, n_d]."""

KEEP = 4  # sentences: about as long as an LLM's summary
MIN_RELEVANCE = 0.30  # cosine to the nearest cue from which a sentence is relevant
MAX_WORDS = 40  # of a sentence; text without full stops is cut


class OfflineTracker:
    """Keeps the few sentences of the dialogue that are nearest to the aspect's cues.

    The last summary is its only memory: each turn compares its sentences with the new ones, so
    that the work of a turn does not grow with the conversation.
    """

    def __init__(self, embed: Embed) -> None:
        self._embed = embed

    def __call__(self, given: TrackerInput) -> str:
        """Return the state summary S_i: an extracted sentence per line; may be empty."""
        aspect = given["aspect"]
        kept = given["previous"].splitlines()
        known = set(kept)
        fresh = [line for line in self._lines(aspect, given["said"]) if line not in known]
        lines = [*kept, *dict.fromkeys(fresh)]
        if not lines:
            return ""
        scores = self._relevance(aspect, lines)
        relevant = [i for i in range(len(lines)) if scores[i] >= MIN_RELEVANCE or i < len(kept)]
        best = sorted(relevant, key=lambda i: (-scores[i], i))[:KEEP]
        return "\n".join(lines[i] for i in sorted(best))

    def _lines(self, aspect: AspectSpec, said: Iterable[Utterance]) -> list[str]:
        """Return the sentences of the sides that the aspect listens to, the system's in brackets.

        A role before each sentence ("Seeker: ...") would dominate its embedding.
        """
        lines = []
        for utterance in said:
            if aspect.listens_to not in ("both", utterance.speaker):
                continue
            user = utterance.speaker == "user"
            lines += [text if user else f"({text})" for text in _worth_quoting(utterance.text)]
        return lines

    def _relevance(self, aspect: AspectSpec, lines: Sequence[str]) -> NDArray[np.float32]:
        """Return [N] the cosine of each line's sentence to the nearest of the aspect's cues."""
        cues = self._embed(aspect.cues or (aspect.summarise,))
        said = self._embed([_bare(line) for line in lines])
        nearest: NDArray[np.float32] = product(said, cues.T).max(axis=1)
        return nearest


def quotable(text: str) -> list[str]:
    """Return an utterance's sentences exactly as the tracker embeds them, to fill a cache."""
    return [_bare(sentence) for sentence in _worth_quoting(text)]


def _worth_quoting(text: str) -> list[str]:
    """Return the sentences of more than two words, each cut to `MAX_WORDS`."""
    cut = (" ".join(sentence.split()[:MAX_WORDS]) for sentence in sentences(text))
    return [sentence for sentence in cut if len(words(sentence)) > 2]


def _bare(line: str) -> str:
    """Return a line of the summary without the brackets that mark the system's sentences."""
    return line.strip("()")
