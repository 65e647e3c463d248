"""How well a prepared answer fits, by a cross-encoder that reads it together with what was said.

Embeddings of two texts made apart tell whether these are about the same; only a model that sees
both at once tells who did what (Nogueira and Cho 2019, "Passage re-ranking with BERT"). It is the
default sentence encoder with adapters, trained on readers' grades of answers and other replies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from langgraph_cooper.nodes.offline.fitting import Floats, Pair, Stacking
from langgraph_cooper.prompts import CooperError
from langgraph_cooper.ranker.data.dialogue import encodable
from langgraph_cooper.ranker.model.computing import compute
from langgraph_cooper.ranker.model.config import DEFAULT_ENCODER, AdapterConfig
from langgraph_cooper.ranker.model.encoder import encoder_sha256, file_sha256, first_line
from langgraph_cooper.ranker.model.lora import load_adapted
from langgraph_cooper.ranker.model.transformer import load_transformer
from langgraph_cooper.ranker.trained import computes_bfloat16

SHIPPED = Path(__file__).parent / "checkpoint"
CONFIG, WEIGHTS = "config.json", "model.safetensors"
REMEDY = "reinstall langgraph-cooper, or train it again with 'cooper train-answers'"
DROPOUT = 0.1  # between the layers of the head, in training
CHARACTERS = 16  # that are read of a text for each of its tokens
GRADES = ("acceptable", "good")
"""What the two outputs are the log-odds of."""


class CrossEncoderError(CooperError):
    """A cross-encoder cannot be loaded."""


class CrossEncoderConfig(BaseModel):
    """The form of a model; saved as `config.json` beside its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["langgraph-cooper-answers"] = "langgraph-cooper-answers"
    tasks: tuple[str, ...]
    """The tasks whose answers it was trained on: others are weighed without it."""
    encoder: str = DEFAULT_ENCODER
    encoder_sha256: str | None = None
    adapters: AdapterConfig = AdapterConfig(rank=16, alpha=32.0)
    hidden: int = Field(default=128, ge=1)
    said_tokens: int = Field(default=72, ge=1)
    """Most tokens of the user's last words. Of longer ones a quarter of them come from the
    beginning, the others from the end."""
    reply_tokens: int = Field(default=48, ge=1)
    """Most tokens of the reply."""
    stacking: Stacking | None = None
    weights_sha256: str = ""


class CrossEncoderModel(nn.Module):
    """The encoder and the head.

    It reads `[CLS] said [SEP] reply [SEP]`, where the reply's tokens are of type 1.

    Args:
        config: The form.
    """

    def __init__(self, config: CrossEncoderConfig) -> None:
        super().__init__()
        self.config = config
        encoder = load_transformer(config.encoder)
        self.encoder, self.tokenizer = encoder.module, encoder.tokenizer
        width = int(self.encoder.config.hidden_size)  # type: ignore[union-attr, arg-type]
        self.head = nn.Sequential(
            nn.Linear(2 * width, config.hidden),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(config.hidden, len(GRADES)),
        )

    def inputs(self, pairs: Sequence[Pair]) -> dict[str, Tensor]:
        """Return `input_ids`, `attention_mask` and `token_type_ids` for N pairs, `[N, tokens]`."""
        rows = [self._tokens(pair) for pair in pairs]
        found = torch.zeros(3, len(rows), max(len(ids) for ids, _ in rows), dtype=torch.long)
        found[0] = int(self.tokenizer.pad_token_id or 0)
        for row, (ids, left) in enumerate(rows):
            found[0, row, : len(ids)] = torch.tensor(ids)
            found[1, row, : len(ids)] = 1
            found[2, row, left : len(ids)] = 1
        return dict(zip(("input_ids", "attention_mask", "token_type_ids"), found, strict=True))

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """Return log-odds `[N, 2]`: that the reply is acceptable, and that it is good."""
        hidden = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        )[0].float()
        mask = attention_mask[..., None]
        mean = (hidden * mask).sum(1) / mask.sum(1)
        odds: Tensor = self.head(torch.cat([hidden[:, 0], mean], 1))
        return odds

    def _tokens(self, pair: Pair) -> tuple[list[int], int]:
        """Return the tokens of a pair, and how many of them come before the reply."""
        config, sep = self.config, self.tokenizer.sep_token_id
        said = self._ids(pair.said, config.said_tokens)
        left = [self.tokenizer.cls_token_id, *said, sep]
        return [*left, *self._ids(pair.reply, config.reply_tokens), sep], len(left)

    def _ids(self, text: str, most: int) -> list[int]:
        """Return the tokens of a text, of a long one a quarter from the beginning, else the end."""
        half = CHARACTERS * most
        cut = text if len(text) <= 2 * half else f"{text[:half]} {text[-half:]}"
        ids: list[int] = self.tokenizer(
            encodable(cut), add_special_tokens=False, split_special_tokens=True, verbose=False
        )["input_ids"]
        first = most // 4
        return ids if len(ids) <= most else [*ids[:first], *ids[first - most :]]


class CrossEncoder:
    """A trained model, safe to share between threads.

    It computes in bfloat16 where the processor has instructions for it, which takes half the time.

    Args:
        model: The model, its adapters merged.
    """

    def __init__(self, model: CrossEncoderModel) -> None:
        self.config = model.config
        self._model = model.eval()
        if computes_bfloat16():
            self._model.encoder.bfloat16()

    def read(self, pairs: Sequence[Pair]) -> Floats:
        """Return [N, 2] the log-odds that each reply is acceptable, and that it is good."""
        if not pairs:
            return np.zeros((0, len(GRADES)), np.float32)
        return compute(partial(self._forward, pairs))

    def _forward(self, pairs: Sequence[Pair]) -> Floats:
        with torch.inference_mode():
            found: Floats = self._model(**self._model.inputs(pairs)).numpy()
        return found


def read_config(folder: Path = SHIPPED) -> CrossEncoderConfig:
    """Read a model's form, without its weights.

    Raises:
        CrossEncoderError: It is missing or malformed.
    """
    try:
        return CrossEncoderConfig.model_validate_json((folder / CONFIG).read_bytes())
    except (OSError, ValidationError) as error:
        raise _unreadable(folder, error) from None


def read_cross_encoder(folder: Path = SHIPPED) -> CrossEncoder:
    """Load a model.

    Raises:
        CrossEncoderError: Its files are missing or damaged, or made for another encoder.
        EncoderError: The encoder cannot be loaded.
    """
    config = read_config(folder)
    try:
        tensors, found = load_file(folder / WEIGHTS), file_sha256(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise _unreadable(folder, error) from None
    if found != config.weights_sha256 or encoder_sha256(config.encoder) != config.encoder_sha256:
        raise CrossEncoderError(
            f"{_named(folder)} does not belong to its {CONFIG} or to the encoder "
            f"{config.encoder}: {REMEDY}"
        )
    try:
        return CrossEncoder(compute(partial(_merged, config, tensors)))
    except ValueError:
        raise CrossEncoderError(f"{_named(folder)} lacks weights: {REMEDY}") from None


def _named(folder: Path) -> str:
    return f"the model in {folder} that weighs prepared answers"


def _unreadable(folder: Path, error: Exception) -> CrossEncoderError:
    return CrossEncoderError(f"{_named(folder)} cannot be read ({first_line(error)}): {REMEDY}")


def _merged(config: CrossEncoderConfig, tensors: Mapping[str, Tensor]) -> CrossEncoderModel:
    model = CrossEncoderModel(config)
    load_adapted(model.encoder, model.head, config.adapters, tensors)
    return model
