"""The ranker of the Global Coordination module, with the progression modules that feed it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from langgraph_cooper.ranker.model.checkpoint import Checkpoint, CheckpointError, open_checkpoint
from langgraph_cooper.ranker.model.config import SPECIAL_TOKENS, Form, RankerConfig
from langgraph_cooper.ranker.model.encoder import EncoderError, encoder_sha256
from langgraph_cooper.ranker.model.evidence import Evidence, TurnVectors
from langgraph_cooper.ranker.model.fusion import Fusion
from langgraph_cooper.ranker.model.lora import adapter_shapes, adapter_tensors, merge_adapters
from langgraph_cooper.ranker.model.next_utterance import FLOOR
from langgraph_cooper.ranker.model.progression import ProgressionModule
from langgraph_cooper.ranker.model.tokens import TokenBatch, TurnTokenizer, TurnTokens, build
from langgraph_cooper.ranker.model.transformer import Transformer, load_transformer
from langgraph_cooper.ranker.model.weights import read_transformer, read_weights, write_checkpoint

MASKED = -1e30
"""A score so low that its exponential is 0; finite, so that 0 times it is no NaN."""

TRANSFORMER = "transformer."
"""Prefix of the Transformer's tensors."""


def aspect_logits(
    scores: Tensor, aspects: Tensor, mask: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """Compute each aspect's log-mean-exp of its candidates' scores.

    An aspect with more candidates has no advantage by their number.

    Args:
        scores: `[B, C]`.
        aspects: `[B, C]` int64.
        mask: `[B, C]` bool, False where padded.
        count: Number of aspects A.

    Returns:
        `[B, A]` logits, and `[B, A]` bool, whether the aspect has candidates.
    """
    member = one_hot(aspects, count).bool() & mask.unsqueeze(2)  # [B, C, A]
    sizes = member.sum(dim=1)
    sums = torch.logsumexp(scores.unsqueeze(2).masked_fill(~member, MASKED), dim=1)
    return sums - sizes.clamp(min=1).to(scores.dtype).log(), sizes > 0


def mix_in_aspects(
    scores: Tensor, aspects: Tensor, mask: Tensor, probabilities: Tensor, weight: float
) -> Tensor:
    """Mix given probabilities of the aspects into scores.

    f'(c) = f(c) + weight (log P(a) - log-mean-exp of f over the candidates of a), with a the aspect
    of c. Weight 0 changes nothing; with weight 1 P alone decides between the aspects, and f orders
    the candidates within each.

    Args:
        scores: `[B, C]`, f.
        aspects: `[B, C]` int64.
        mask: `[B, C]` bool, False where padded.
        probabilities: `[B, n_T + 1]`, P.
        weight: In [0, 1].

    Returns:
        `[B, C]`.
    """
    logits, _ = aspect_logits(scores, aspects, mask, probabilities.shape[1])
    shift = probabilities.clamp(min=FLOOR).log() - logits
    return scores + weight * shift.gather(1, aspects)


class CooperRanker(nn.Module):
    """COOPER's trainable parts: progression modules, MLP_PRG, Transformer and score.

    Args:
        config: The architecture.
        transformer: Used instead of the one that the configuration names.
        targets: Per aspect `[k_i, n_d]` typical target states; zeros if omitted.
        generator: For the noise in the progression modules' W.
    """

    def __init__(
        self,
        config: RankerConfig,
        transformer: Transformer | None = None,
        targets: Sequence[Tensor] | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.transformer, tokenizer = transformer or load_transformer(config.transformer)
        self.tokenizer = TurnTokenizer(
            tokenizer, history_tokens=config.history_tokens, topic_tokens=config.topic_tokens
        )
        _check_positions(config, self.transformer)
        if config.weights == "adapters":
            self.transformer.requires_grad_(False)
        states = targets or [torch.zeros(k, config.dimension) for k in config.targets]
        self.progressions = nn.ModuleDict(
            {
                # Module names may not hold dots or shadow attributes; aspects' names may.
                f"aspect_{index}": ProgressionModule(vectors, texts, span, generator)
                for index, (vectors, texts, span) in enumerate(
                    zip(states, config.target_texts, config.calibration, strict=True)
                )
            }
        )
        self.mlp: nn.Sequential | None = None
        if config.progression:
            self.mlp = nn.Sequential(
                nn.Linear(2 * len(config.aspects) * config.dimension, config.dimension),
                nn.ReLU(),
                nn.Linear(config.dimension, config.dimension),
            )
        else:
            self.progressions.requires_grad_(False)
        self.fusion = Fusion(config, int(self._architecture("hidden_size")))
        self.evidence: Evidence | None = None
        if config.evidence:
            self.evidence = Evidence(len(config.aspects), config.rounds, config.dimension)
            self.fusion.zero()

    def progression_module(self, aspect: str) -> ProgressionModule:
        """Return the progression module of one aspect.

        Raises:
            ValueError: The ranker does not know the aspect.
        """
        if aspect not in self.config.aspects:
            raise ValueError(f"aspect {aspect!r} is not one of {', '.join(self.config.aspects)}")
        module = self.progressions[f"aspect_{self.config.aspects.index(aspect)}"]
        assert isinstance(module, ProgressionModule)
        return module

    def signals(self, states: Tensor) -> Tensor:
        """Compute the progression signals of all aspects.

        Args:
            states: `[B, n_T, n_d]` state embeddings, in the order of `config.aspects`.

        Returns:
            `[B, n_T, 2, n_d]`.
        """
        modules = self.progressions.values()
        return torch.stack([m(states[:, i]).signal for i, m in enumerate(modules)], dim=1)

    def tokens(self, turns: Sequence[TurnTokens], form: Form | None = None) -> TokenBatch:
        """Build the input of tokenised turns, by default in the ranker's own form."""
        return build(turns, self.tokenizer.specials, form or self.config.form)

    # -- the score --------------------------------------------------------------------------------

    def forward(
        self,
        tokens: TokenBatch,
        aspects: Tensor,
        signals: Tensor,
        vectors: TurnVectors | None = None,
    ) -> Tensor:
        """Score the candidates of B turns.

        Args:
            tokens: From `tokens(...)`.
            aspects: `[B, C]` int64, each candidate's `config.aspect_index`; 0 where padded.
            signals: `[B, n_T, 2, n_d]` from `signals(...)`; not read without progression.
            vectors: From `evidence.vectors(...)`; only a ranker with `config.evidence` reads them.

        Returns:
            `[B, C]` float64, meaningless where padded; higher is better.
        """
        return self.score(self.encode(tokens), aspects, signals, vectors, tokens.mask)

    def encode(self, tokens: TokenBatch) -> Tensor:
        """Compute b~ `[B, C, hidden]` float32: the Transformer's output at each [CLS]."""
        arguments: dict[str, Any] = {}
        if int(self._architecture("type_vocab_size", 0)) > 1:
            arguments["token_type_ids"] = tokens.token_type_ids
        hidden: Tensor = self.transformer(
            input_ids=tokens.input_ids,
            attention_mask=tokens.attention_mask,
            position_ids=tokens.position_ids,
            **arguments,
        ).last_hidden_state  # [R, L, hidden]
        return hidden[tokens.cls_rows, tokens.cls_columns].float()

    def score(
        self,
        text: Tensor,
        aspects: Tensor,
        signals: Tensor,
        vectors: TurnVectors | None,
        mask: Tensor,
    ) -> Tensor:
        """Score candidates whose b~ `[B, C, hidden]` is known; otherwise as `forward`."""
        raw = self.raw_scores(text, aspects, signals, vectors)
        return self._final(raw, aspects, vectors, mask)

    def raw_scores(
        self, text: Tensor, aspects: Tensor, signals: Tensor, vectors: TurnVectors | None
    ) -> Tensor:
        """Compute f `[B, C]` float32, the score before the aspects are mixed in.

        The training losses take it: a mixed score would hide from them how f decides between the
        aspects.
        """
        prg = None if self.mlp is None else self.mlp(signals.flatten(start_dim=1))  # [B, n_d]
        scores: Tensor = self.fusion(prg, text, aspects)
        if self.evidence is not None:
            if vectors is None:
                raise ValueError("this ranker compares embeddings of the texts: pass vectors")
            scores = scores + self.evidence(vectors, aspects)
        return scores

    def evidence_scores(self, aspects: Tensor, vectors: TurnVectors, mask: Tensor) -> Tensor:
        """Score by the evidence alone, without Transformer and signals; otherwise as `forward`.

        Raises:
            ValueError: The ranker has no evidence.
        """
        if self.evidence is None:
            raise ValueError("this ranker has no evidence to score by")
        return self._final(self.evidence(vectors, aspects), aspects, vectors, mask)

    def _final(
        self, raw: Tensor, aspects: Tensor, vectors: TurnVectors | None, mask: Tensor
    ) -> Tensor:
        # In float64: in float32, close candidates could round to the same mixed score.
        scores = raw.double()
        if vectors is None or not self.config.decision:
            return scores
        probabilities = vectors.predicted.aspects.double()
        return mix_in_aspects(scores, aspects, mask, probabilities, self.config.decision)

    # -- checkpoints ------------------------------------------------------------------------------

    def save_pretrained(self, folder: str | Path, *, half: bool = True) -> RankerConfig:
        """Save weights and configuration.

        Args:
            folder: Created if missing; other files in it (a model card) stay.
            half: Store numbers in half precision.

        Returns:
            The configuration as saved, with calibration and the fingerprints of all weights.

        Raises:
            CheckpointError: The folder cannot be written.
            ValueError: The adapters are merged, as in every loaded ranker that has some: copy its
                folder instead.
        """
        tensors = self.state_dict()
        if self.config.weights == "adapters":
            tensors = {k: v for k, v in tensors.items() if not k.startswith(TRANSFORMER)}
        if self.config.adapter is not None:
            adapters = adapter_tensors(self.transformer)
            if not adapters:
                raise ValueError(
                    "a loaded ranker, with its adapters merged, cannot be saved again: copy the "
                    "folder that it was loaded from"
                )
            tensors |= {TRANSFORMER + name: value for name, value in adapters.items()}
        tokenizer = self.tokenizer.tokenizer
        return write_checkpoint(folder, self._stamped(), tensors, tokenizer, half=half)

    def _stamped(self) -> RankerConfig:
        """Return the configuration with the calibration and the fingerprints of other weights."""
        config = self.config
        spans = [m.get_buffer("calibration").tolist() for m in self.progressions.values()]
        update: dict[str, Any] = {
            "encoder_sha256": config.encoder_sha256 or _local_sha256(config.encoder),
            "calibration": tuple((float(mean), float(deviation)) for mean, deviation in spans),
        }
        if config.weights == "full":
            architecture: Any = self.transformer.config
            update["transformer_config"] = json.loads(architecture.to_json_string(use_diff=False))
        else:
            update["transformer_sha256"] = _local_sha256(config.transformer)
        return RankerConfig.model_validate(config.model_dump() | update)

    @classmethod
    def from_pretrained(
        cls, name: str | Path | Checkpoint, *, aspects: Sequence[str] | None = None
    ) -> Self:
        """Load a checkpoint in float32 and evaluation mode, its adapters merged.

        Args:
            name: A folder or hub name.
            aspects: Aspects of the task, in order; checked unless omitted.

        Raises:
            CheckpointError: The checkpoint is missing or damaged, or does not fit.
        """
        checkpoint = open_checkpoint(name)
        if aspects is not None:
            checkpoint.check_aspects(aspects)
        config = checkpoint.config
        try:
            ranker = cls(config, read_transformer(checkpoint))
            shapes: dict[str, tuple[int, ...]] = {}
            if config.adapter is not None:
                shapes = adapter_shapes(ranker.transformer, config.adapter)
        except (EncoderError, ValueError) as error:
            raise CheckpointError(
                f"the checkpoint {checkpoint.folder} cannot be used: {str(error).rstrip('.')}."
            ) from error
        expected = {TRANSFORMER + key: shape for key, shape in shapes.items()}
        for key, value in ranker.state_dict().items():
            if config.weights == "full" or not key.startswith(TRANSFORMER):
                expected[key] = tuple(value.shape)
        tensors = read_weights(checkpoint, expected)
        ranker.load_state_dict(tensors, strict=False)  # checked above; copied into float32
        if config.adapter is not None:
            adapters = {key: tensors[TRANSFORMER + key] for key in shapes}
            merge_adapters(ranker.transformer, config.adapter, adapters)
        return ranker.eval()

    def _architecture(self, name: str, default: Any = None) -> Any:
        return getattr(self.transformer.config, name, default)


def _check_positions(config: RankerConfig, transformer: nn.Module) -> None:
    positions = getattr(transformer.config, "max_position_embeddings", None)
    needed = config.history_tokens + config.topic_tokens + SPECIAL_TOKENS
    if positions is not None and needed > positions:
        raise ValueError(
            f"history_tokens + topic_tokens + {SPECIAL_TOKENS} is {needed}, more than the "
            f"{positions} positions of the Transformer"
        )


def _local_sha256(name: str) -> str | None:
    try:
        return encoder_sha256(name)
    except EncoderError:  # loading it will report the missing package
        return None
