"""The form of a model that reads pairs of utterances, without torch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from langgraph_cooper.ranker.model.config import DEFAULT_ENCODER, AdapterConfig

Floats = NDArray[np.float32]

CONFIG, WEIGHTS = "config.json", "model.safetensors"


class Pair(NamedTuple):
    """Two adjacent utterances (Schegloff and Sacks 1973, "adjacency pairs")."""

    first: str
    second: str


class PairForm(BaseModel):
    """The form of a model; saved as `config.json` beside its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: str = DEFAULT_ENCODER
    encoder_sha256: str | None = None
    adapters: AdapterConfig = AdapterConfig(rank=16, alpha=32.0)
    hidden: int = Field(default=128, ge=1)
    first_tokens: int = Field(default=72, ge=1)
    """Most tokens of the first utterance. Of a longer one a quarter of them come from the
    beginning, the others from the end."""
    second_tokens: int = Field(default=48, ge=1)
    """The same of the second."""
    weights_sha256: str = ""
