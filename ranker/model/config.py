"""The configuration of a ranker, saved beside its weights; needs no torch."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from langgraph_cooper.prompts.task import PASSIVE
from langgraph_cooper.ranker.data.dialogue import LAST_ROUND

DEFAULT_ENCODER = "all-MiniLM-L6-v2"
"""The sentence encoder that needs neither hub nor network: a package carries its weights."""

SPECIAL_TOKENS = 4
"""Special tokens around the two texts: [CLS] history [SEP] and [CLS] candidate [SEP]."""

Form = Literal["packed", "pairwise"]
Fusion = Literal["paper", "aspect"]
Precision = Literal["auto", "float32", "bfloat16"]


class AdapterConfig(BaseModel):
    """Low-rank adapters W + (alpha / rank) B A over linear layers of the Transformer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(default=8, ge=1)
    alpha: float = Field(default=16.0, gt=0)
    targets: tuple[str, ...] = ("query", "key", "value", "dense")
    """Last part of the names of the adapted linear layers."""
    layers: tuple[int, ...] | None = None
    """Adapted layers of the Transformer, from 0; None: all."""
    dropout: float = Field(default=0.0, ge=0, lt=1)


class RankerConfig(BaseModel):
    """The architecture of a ranker; saved as `config.json` beside its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["langgraph-cooper-ranker"] = "langgraph-cooper-ranker"
    task: str
    aspects: tuple[str, ...] = Field(min_length=1)
    """The task's aspects, in its order, without the passive one."""
    encoder: str = DEFAULT_ENCODER
    """Sentence encoder of the state embeddings."""
    encoder_sha256: str | None = None
    """SHA-256 of the encoder's weights, where they are a local file."""
    dimension: int = Field(ge=1)
    """n_d, the length of a state embedding."""
    transformer: str = DEFAULT_ENCODER
    """Source of the Transformer's initial weights and of its tokeniser."""
    transformer_sha256: str | None = None
    """SHA-256 of the initial weights, where they are a local file: adapters fit no others."""
    transformer_config: dict[str, Any] | None = None
    """Architecture of the Transformer, in a checkpoint with all its weights."""
    weights: Literal["adapters", "full"] = "adapters"
    """Weights of the Transformer in the checkpoint."""
    adapter: AdapterConfig | None = AdapterConfig()
    form: Form = "packed"
    history_tokens: int = Field(default=128, ge=1)
    topic_tokens: int = Field(default=32, ge=1)
    fusion: Fusion = "aspect"
    interaction: int = Field(default=32, ge=1)
    """Rank of the bilinear term of `fusion="aspect"`."""
    evidence: bool = False
    """Whether the score compares embeddings of candidates with recent and predicted utterances
    (`langgraph_cooper.ranker.model.evidence`)."""
    rounds: int = Field(default=LAST_ROUND, ge=1)
    """Number of dialogue rounds that the evidence distinguishes; later rounds count as the last."""
    decision: float = Field(default=0.0, ge=0, le=1)
    """Weight of P(aspect | round, last utterances) in the decision between the aspects
    (`langgraph_cooper.ranker.model.ranker.mix_in_aspects`)."""
    progression: bool = True
    """False: the ablation without progression signals."""
    targets: tuple[int, ...]
    """k_i, the number of typical target states of each aspect."""
    target_texts: tuple[tuple[str, ...], ...]
    """The training summary nearest to each target state."""
    calibration: tuple[tuple[float, float], ...]
    """Per aspect, mean and standard deviation of the final states' closeness to their target."""
    weights_sha256: str | None = None
    """SHA-256 of the weight file saved together with this configuration."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    """Free-form notes: seed, epoch, figures."""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if len(set(self.aspects)) != len(self.aspects) or PASSIVE in self.aspects:
            raise ValueError(f"aspects must differ from one another and from {PASSIVE!r}")
        for name in ("targets", "target_texts", "calibration"):
            if len(getattr(self, name)) != len(self.aspects):
                raise ValueError(f"{name} needs one entry per aspect")
        if any(len(texts) != k for texts, k in zip(self.target_texts, self.targets, strict=True)):
            raise ValueError("target_texts needs as many texts per aspect as targets says")
        if min(self.targets) < 1:
            raise ValueError("each aspect needs at least one target state")
        if self.fusion == "paper" and self.evidence:
            raise ValueError('the fusion "paper" takes no evidence')
        if self.decision and not self.evidence:
            raise ValueError("decision needs evidence, which predicts the aspects")
        if self.weights == "full" and self.adapter is not None:
            raise ValueError("a checkpoint with all weights of the Transformer takes no adapter")
        return self

    def aspect_index(self, aspect: str) -> int:
        """Return the index of an aspect; the passive aspect comes last.

        Raises:
            ValueError: The ranker does not know the aspect.
        """
        known = (*self.aspects, PASSIVE)
        if aspect not in known:
            raise ValueError(f"aspect {aspect!r} is not one of {', '.join(known)}")
        return known.index(aspect)
