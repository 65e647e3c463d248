"""What a ranker is made of, apart from its weights: readable without torch."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from langgraph_cooper.prompts.task import PASSIVE
from langgraph_cooper.ranker.data.dialogue import LAST_ROUND

__all__ = [
    "DEFAULT_ENCODER",
    "PASSIVE",
    "AdapterConfig",
    "Form",
    "Fusion",
    "RankerConfig",
]

DEFAULT_ENCODER = "all-MiniLM-L6-v2"
"""The sentence encoder that works with no hub and no network (a package carries its weights)."""

SPECIAL_TOKENS = 4
"""[CLS] history [SEP] and [CLS] candidate [SEP]: what the two texts cost beyond their tokens."""

Form = Literal["packed", "pairwise"]
Fusion = Literal["paper", "aspect"]


class AdapterConfig(BaseModel):
    """Low-rank adapters W + (alpha / rank) B A over linear layers of the Transformer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(default=8, ge=1)
    alpha: float = Field(default=16.0, gt=0)
    targets: tuple[str, ...] = ("query", "key", "value", "dense")
    """Last part of the names of the linear layers that get an adapter."""
    layers: tuple[int, ...] | None = None
    """Which layers of the Transformer, from 0; all of them by default."""
    dropout: float = Field(default=0.0, ge=0, lt=1)


class RankerConfig(BaseModel):
    """Everything that decides a ranker's form; saved as `config.json` beside its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["langgraph-cooper-ranker"] = "langgraph-cooper-ranker"
    task: str
    aspects: tuple[str, ...] = Field(min_length=1)
    """The task's aspects, in its order; passive candidates are one more, unnamed here."""
    encoder: str = DEFAULT_ENCODER
    """Sentence encoder of the state embeddings."""
    encoder_sha256: str | None = None
    """SHA-256 of the encoder's weights where they are pinned."""
    dimension: int = Field(ge=1)
    """n_d, the length of a state embedding."""
    transformer: str = DEFAULT_ENCODER
    """Where the Transformer's first weights (and its tokeniser) come from."""
    transformer_sha256: str | None = None
    """SHA-256 of those first weights where they are a local file: adapters fit no others."""
    transformer_config: dict[str, Any] | None = None
    """Architecture of the Transformer; only a checkpoint with all weights carries it."""
    weights: Literal["adapters", "full"] = "adapters"
    """What the checkpoint holds of the Transformer."""
    adapter: AdapterConfig | None = AdapterConfig()
    form: Form = "packed"
    history_tokens: int = Field(default=128, ge=1)
    topic_tokens: int = Field(default=32, ge=1)
    fusion: Fusion = "aspect"
    interaction: int = Field(default=32, ge=1)
    """Rank of the bilinear term of `fusion="aspect"`."""
    evidence: bool = False
    """Whether candidates are compared, in the encoder's own space, with what was said and with
    what is expected; see `langgraph_cooper.ranker.model.evidence`."""
    rounds: int = Field(default=LAST_ROUND, ge=1)
    """How many dialogue rounds the evidence tells apart; later ones count as the last."""
    decision: float = Field(default=0.0, ge=0, le=1)
    """How much of the decision between the aspects is P(aspect | round, last utterances); see
    `langgraph_cooper.ranker.model.aspect_mixing`."""
    progression: bool = True
    """False: the ablation without progression signals."""
    targets: tuple[int, ...]
    """k_i, the number of typical target states of each aspect."""
    target_texts: tuple[tuple[str, ...], ...]
    """The training summary nearest to each target state."""
    calibration: tuple[tuple[float, float], ...]
    """Per aspect the mean and the standard deviation of final states' closeness to their target."""
    weights_sha256: str | None = None
    """SHA-256 of the weight file saved together with this configuration."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    """Free to use: seed, data, figures."""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if len(set(self.aspects)) != len(self.aspects) or PASSIVE in self.aspects:
            raise ValueError(f"aspects must differ from one another and from {PASSIVE!r}")
        for name in ("targets", "target_texts", "calibration"):
            if len(getattr(self, name)) != len(self.aspects):
                raise ValueError(f"{name} needs one entry per aspect")
        if any(len(texts) != k for texts, k in zip(self.target_texts, self.targets, strict=True)):
            raise ValueError("target_texts needs as many texts as targets says")
        if min(self.targets) < 1:
            raise ValueError("each aspect needs at least one target state")
        if self.fusion == "paper" and self.evidence:
            raise ValueError('the fusion "paper" takes no evidence')
        if self.decision and not self.evidence:
            raise ValueError("the decision needs the evidence's expectation")
        if self.weights == "full" and self.adapter is not None:
            raise ValueError("a ranker with all weights of its Transformer takes no adapter")
        return self

    def aspect_index(self, aspect: str) -> int:
        """Index of an aspect in this ranker; the passive aspect comes last.

        Raises:
            ValueError: if the ranker does not know the aspect.
        """
        known = (*self.aspects, PASSIVE)
        if aspect not in known:
            raise ValueError(f"aspect {aspect!r} is not one of {', '.join(known)}")
        return known.index(aspect)
