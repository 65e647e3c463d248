"""The trained ranker at inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from langgraph_cooper.ranker.api import Array, Precision, Progression, ScoredTopic, finite
from langgraph_cooper.ranker.data.dialogue import Utterance, dialogue_round
from langgraph_cooper.ranker.model.config import Form
from langgraph_cooper.ranker.model.encoder import SentenceEncoder
from langgraph_cooper.ranker.model.evidence import TurnVectors
from langgraph_cooper.ranker.model.next_utterance import recent_texts
from langgraph_cooper.ranker.model.ranker import CooperRanker
from langgraph_cooper.ranker.model.tokens import chunks

ROW_TOKENS = 768
"""Tokens of candidates in one packed row: a row's attention mask grows with its square."""


class TrainedRanker:
    """A trained `CooperRanker` at inference: deterministic, and safe to call from many threads.

    Args:
        model: with its adapters merged; taken over (set to evaluation, perhaps to bfloat16).
        encoder: the one that it was trained with.
        precision: of the Transformer. `auto` takes bfloat16 where the processor computes in it
            (measured twice as fast there; elsewhere it is emulated and slower), else float32.
        form: `packed` or `pairwise`; the one that it was trained in by default.
    """

    trained = True

    def __init__(
        self,
        model: CooperRanker,
        encoder: SentenceEncoder,
        *,
        precision: Precision = "auto",
        form: Form | None = None,
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.encoder = encoder
        self.config = model.config
        self.form: Form = form or model.config.form
        self.name = f"cooper-{model.config.task}"
        self.dimension = model.config.dimension
        half = precision == "bfloat16" or (precision == "auto" and computes_bfloat16())
        self.precision: Precision = "bfloat16" if half else "float32"
        model.transformer.to(torch.bfloat16 if half else torch.float32)

    def embed(self, texts: Sequence[str]) -> Array:
        """State embeddings `[N, n_d]` of unit norm; the zero vector for an empty text."""
        return self.encoder.encode(texts)

    def progression(self, aspect: str, state: str) -> Progression:
        """Analyses one aspect's state summary.

        Raises:
            ValueError: if the ranker does not know the aspect.
        """
        module = self.model.progression_module(aspect)
        with torch.inference_mode():
            result = module(torch.from_numpy(self.embed([state])))
        weights = result.attention[0].tolist()
        order = sorted(range(len(weights)), key=lambda j: (-weights[j], j))
        return Progression(
            signal=result.signal[0].numpy().copy(),
            targets=tuple((module.texts[j], weights[j]) for j in order),
            progress=float(result.progress[0]),
        )

    def score(
        self,
        history: Sequence[Utterance],
        candidates: Sequence[ScoredTopic],
        signals: Mapping[str, Array],
    ) -> list[float]:
        """Scores candidates: higher is better, and every score is a finite number.

        Args:
            history: the dialogue so far, oldest first; may be empty.
            candidates: any number of them.
            signals: per aspect `[2, n_d]` from `progression`.

        Raises:
            ValueError: if an aspect is unknown, or its signal is missing or of the wrong shape.
        """
        if not candidates:
            return []
        aspects = [self.config.aspect_index(candidate.aspect) for candidate in candidates]
        stacked = self._signals(signals)
        topics = [candidate.topic for candidate in candidates]
        turn = self.model.tokenizer.turn(history, topics)
        vectors = self.vectors(history, topics)
        scores: list[float] = []
        with torch.inference_mode():
            for part in chunks(turn, ROW_TOKENS):
                here = slice(len(scores), len(scores) + len(part.candidates))
                tokens = self.model.tokens([part], self.form)
                own = torch.tensor([aspects[here]])
                near = vectors and vectors._replace(topics=vectors.topics[:, here])
                batch = self.model(tokens, own, stacked, near)  # [1, C]
                scores += batch[0].tolist()
            if vectors is not None:
                due = vectors.expected.aspects
                scores = self.model.decide([np.array(scores)], [aspects], due)[0].tolist()
        return finite(scores)

    def vectors(self, history: Sequence[Utterance], topics: Sequence[str]) -> TurnVectors | None:
        """The embeddings that the evidence compares; most are in the encoder's cache."""
        if self.model.evidence is None:
            return None
        texts = torch.from_numpy(self.embed([*topics, *recent_texts(history)]))[None]
        rounds = torch.tensor([dialogue_round(history)])
        return self.model.evidence.vectors(texts[:, : len(topics)], texts[:, len(topics) :], rounds)

    def _signals(self, signals: Mapping[str, Array]) -> torch.Tensor:
        """`[1, n_T, 2, n_d]` in the ranker's order of aspects."""
        shape = (2, self.dimension)
        if not self.config.progression:
            return torch.zeros(1, len(self.config.aspects), *shape)
        for aspect in self.config.aspects:
            if aspect not in signals or np.shape(signals[aspect]) != shape:
                raise ValueError(f"the ranker needs a signal {shape} of aspect {aspect!r}")
        ordered = np.stack([signals[aspect] for aspect in self.config.aspects])
        return torch.from_numpy(ordered.astype(np.float32))[None]


class EvidenceAlone:
    """A trained ranker without its Transformer, progression modules and fusion, for comparisons.

    Args:
        ranker: with evidence.
    """

    trained = True

    def __init__(self, ranker: TrainedRanker) -> None:
        self._ranker = ranker
        self.name = f"{ranker.name}-evidence"
        self.dimension = ranker.dimension

    def embed(self, texts: Sequence[str]) -> Array:
        """As the whole ranker."""
        return self._ranker.embed(texts)

    def progression(self, aspect: str, state: str) -> Progression:
        """As the whole ranker."""
        return self._ranker.progression(aspect, state)

    def score(
        self,
        history: Sequence[Utterance],
        candidates: Sequence[ScoredTopic],
        signals: Mapping[str, Array],
    ) -> list[float]:
        """Scores candidates by the texts' embeddings alone."""
        if not candidates:
            return []
        model = self._ranker.model
        aspects = [model.config.aspect_index(candidate.aspect) for candidate in candidates]
        vectors = self._ranker.vectors(history, [candidate.topic for candidate in candidates])
        assert model.evidence is not None
        assert vectors is not None
        with torch.inference_mode():
            scores = model.evidence(vectors, torch.tensor([aspects]))[0].double().numpy()
            decided = model.decide([scores], [aspects], vectors.expected.aspects)[0]
        return finite(decided.tolist())


def computes_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16 products."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
