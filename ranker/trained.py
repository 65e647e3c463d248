"""The trained ranker at inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from langgraph_cooper.prompts.task import PASSIVE
from langgraph_cooper.ranker.api import Array, Progression, ScoredTopic
from langgraph_cooper.ranker.data.dialogue import Utterance, dialogue_round
from langgraph_cooper.ranker.model.calibration import Calibration
from langgraph_cooper.ranker.model.computing import compute
from langgraph_cooper.ranker.model.config import Form, Precision
from langgraph_cooper.ranker.model.encoder import SentenceEncoder
from langgraph_cooper.ranker.model.evidence import TurnVectors
from langgraph_cooper.ranker.model.next_utterance import recent_texts
from langgraph_cooper.ranker.model.progression import ProgressionOutput
from langgraph_cooper.ranker.model.ranker import CooperRanker
from langgraph_cooper.ranker.model.tokens import chunks

ROW_TOKENS = 768
"""Largest number of candidates' tokens in a packed row, whose mask grows with its square."""


class TrainedRanker:
    """A trained `CooperRanker` at inference: deterministic, and safe to call from many threads.

    Args:
        model: A loaded ranker; it is set to evaluation mode, and its Transformer to `precision`.
        encoder: The encoder that it was trained with.
        precision: Of the Transformer. `auto` takes bfloat16 where the processor computes in it
            (measured twice as fast there; elsewhere it is emulated and slower), else float32.
        form: `packed` or `pairwise`; by default the one that it was trained in.
        calibration: For calibrated coordination; a ranker without evidence has no use for it.
    """

    trained = True

    def __init__(
        self,
        model: CooperRanker,
        encoder: SentenceEncoder,
        *,
        precision: Precision = "auto",
        form: Form | None = None,
        calibration: Calibration | None = None,
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
        self.calibration = None if model.evidence is None else calibration

    def embed(self, texts: Sequence[str]) -> Array:
        """Return embeddings `[N, n_d]` of unit norm; the zero vector for an empty text."""
        return self.encoder.encode(texts)

    def progression(self, aspect: str, state: str) -> Progression:
        """Analyse one aspect's state summary.

        Raises:
            ValueError: The ranker does not know the aspect.
        """
        module = self.model.progression_module(aspect)
        embedded = self.embed([state])

        @torch.inference_mode()
        def analyse() -> ProgressionOutput:
            output: ProgressionOutput = module(torch.from_numpy(embedded))
            return output

        result = compute(analyse)
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
        """Score candidates: higher is better.

        Args:
            history: The dialogue so far, oldest first; may be empty.
            candidates: Any number of them.
            signals: Per aspect `[2, n_d]` from `progression`.

        Raises:
            ValueError: An aspect is unknown, or its signal is missing or of the wrong shape.
        """
        if not candidates:
            return []
        aspects, vectors = self.inputs(history, candidates)
        stacked = self._signals(signals)
        topics = [candidate.topic for candidate in candidates]

        @torch.inference_mode()
        def scored() -> list[float]:
            turn = self.model.tokenizer.turn(history, topics)
            parts = [
                self.model.encode(self.model.tokens([part], self.form))
                for part in chunks(turn, ROW_TOKENS)
            ]
            text = torch.cat(parts, dim=1)  # [1, C, hidden]
            mask = torch.ones_like(aspects, dtype=torch.bool)
            scores: list[float] = self.model.score(text, aspects, stacked, vectors, mask)[
                0
            ].tolist()
            return scores

        return compute(scored)

    def expected(self, history: Sequence[Utterance]) -> dict[str, float]:
        """Return P(aspect | round, last three utterances) of the next utterance, summing to 1.

        Most of the embeddings are in the encoder's cache.

        Raises:
            ValueError: The ranker has no evidence, which predicts it.
        """
        if (evidence := self.model.evidence) is None:
            raise ValueError("a ranker without evidence expects no aspects")
        recent = torch.from_numpy(self.embed(recent_texts(history)))[None]
        rounds = torch.tensor([dialogue_round(history)])

        @torch.inference_mode()
        def predicted() -> list[float]:
            found = evidence.expectation(recent, rounds).aspects[0].double()
            shares: list[float] = (found / found.sum()).tolist()
            return shares

        return dict(zip((*self.config.aspects, PASSIVE), compute(predicted), strict=True))

    def inputs(
        self, history: Sequence[Utterance], candidates: Sequence[ScoredTopic]
    ) -> tuple[torch.Tensor, TurnVectors | None]:
        """Return aspects `[1, C]` and embeddings of one turn; None for a ranker without evidence.

        Most of the embeddings are in the encoder's cache.

        Raises:
            ValueError: An aspect is unknown.
        """
        aspects = [self.config.aspect_index(candidate.aspect) for candidate in candidates]
        vectors = None
        if (evidence := self.model.evidence) is not None:
            topics = [candidate.topic for candidate in candidates]
            texts = torch.from_numpy(self.embed([*topics, *recent_texts(history)]))[None]
            split = len(topics)
            rounds = torch.tensor([dialogue_round(history)])
            vectors = compute(lambda: evidence.vectors(texts[:, :split], texts[:, split:], rounds))
        return torch.tensor([aspects]), vectors

    def _signals(self, signals: Mapping[str, Array]) -> torch.Tensor:
        """Stack signals in the ranker's order of aspects: `[1, n_T, 2, n_d]`."""
        shape = (2, self.dimension)
        if not self.config.progression:
            return torch.zeros(1, len(self.config.aspects), *shape)
        for aspect in self.config.aspects:
            if aspect not in signals or np.shape(signals[aspect]) != shape:
                raise ValueError(f"the ranker needs a signal {shape} of aspect {aspect!r}")
        ordered = np.stack([signals[aspect] for aspect in self.config.aspects])
        return torch.from_numpy(ordered.astype(np.float32))[None]


class EvidenceAlone:
    """The evidence of a trained ranker, without Transformer and signals, for comparisons.

    Args:
        ranker: A ranker with evidence.
    """

    trained = True

    def __init__(self, ranker: TrainedRanker) -> None:
        self._ranker = ranker
        self.name = f"{ranker.name}-evidence"
        self.dimension = ranker.dimension
        self.embed = ranker.embed
        self.progression = ranker.progression

    def score(
        self,
        history: Sequence[Utterance],
        candidates: Sequence[ScoredTopic],
        signals: Mapping[str, Array],
    ) -> list[float]:
        """Score candidates by the texts' embeddings alone."""
        if not candidates:
            return []
        aspects, vectors = self._ranker.inputs(history, candidates)
        assert vectors is not None

        @torch.inference_mode()
        def scored() -> list[float]:
            mask = torch.ones_like(aspects, dtype=torch.bool)
            scores: list[float] = self._ranker.model.evidence_scores(aspects, vectors, mask)[
                0
            ].tolist()
            return scores

        return compute(scored)


def computes_bfloat16() -> bool:
    """Return whether this processor has instructions for bfloat16 products."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
