"""Checkpoints of a ranker: where they are, what they say of themselves, what they fit.

A checkpoint is a folder with `config.json` (a `RankerConfig`) and `model.safetensors`; nothing in
it is ever executed. This module needs no torch; `weights` reads and writes the tensors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from langgraph_cooper.prompts.errors import CooperError
from langgraph_cooper.ranker.model.config import RankerConfig
from langgraph_cooper.ranker.model.encoder import SentenceEncoder

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer"
"""Sub-folder with the tokeniser, in a checkpoint with all weights of its Transformer."""

REMEDY = "fetch the checkpoint again or train one with 'cooper train'"


class CheckpointError(CooperError):
    """A checkpoint is missing, damaged, foreign, or not made for what it is used for."""


def checkpoint_folder(name: str | Path) -> Path:
    """The local folder of a checkpoint.

    Args:
        name: a folder, or a hub name `owner/name`, which is fetched once.

    Raises:
        CheckpointError: if there is no such folder, or the hub does not deliver it.
    """
    folder = Path(name)
    if folder.is_dir():
        return folder
    # "checkpoints/esc" reads like a hub name; the folder beside it tells that a path is meant.
    hub_like = re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", str(name)) and not folder.parent.is_dir()
    if not hub_like:
        raise CheckpointError(f"there is no checkpoint folder {folder}: {REMEDY}.")
    from huggingface_hub import snapshot_download

    try:
        patterns = ["*.json", "*.safetensors", "*.txt", "*.md"]
        return Path(snapshot_download(str(name), allow_patterns=patterns))
    except Exception as error:  # network, hub and cache each raise their own
        raise CheckpointError(
            f"checkpoint {name} is no local folder and the hub did not deliver it "
            f"({type(error).__name__}): check the name and the network, or name a folder."
        ) from error


def read_config(name: str | Path) -> RankerConfig:
    """Reads a checkpoint's configuration, without torch and without its weights.

    Raises:
        CheckpointError: if the checkpoint is missing or its configuration is another program's.
    """
    file = checkpoint_folder(name) / CONFIG
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{file} is missing: {REMEDY}.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} is not readable as JSON: {REMEDY}.") from error
    if not isinstance(raw, dict) or "format" not in raw:
        raise CheckpointError(
            f"{file} is not the configuration of a langgraph-cooper ranker "
            f"(it has no 'format'): {REMEDY}."
        )
    try:
        return RankerConfig.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "it"
        raise CheckpointError(
            f"{file} is not the configuration of a ranker of this version "
            f"({field}: {first['msg']}): {REMEDY}."
        ) from None


def check_aspects(config: RankerConfig, aspects: Sequence[str], folder: Path) -> None:
    """Checks that a checkpoint was trained for these aspects, in this order.

    Raises:
        CheckpointError: if not.
    """
    if tuple(aspects) != config.aspects:
        raise CheckpointError(
            f"the checkpoint {folder} ranks {', '.join(config.aspects)} (task {config.task}), "
            f"not {', '.join(aspects)}: use a checkpoint trained for this task."
        )


def check_encoder(config: RankerConfig, encoder: SentenceEncoder, folder: Path) -> None:
    """Checks that an encoder is the one whose embeddings a checkpoint was trained on.

    Raises:
        CheckpointError: if its dimension or its pinned weights differ.
    """
    if encoder.dimension != config.dimension:
        raise CheckpointError(
            f"encoder {encoder.name} gives {encoder.dimension} dimensions and the checkpoint "
            f"{folder} needs {config.dimension}: use its encoder {config.encoder}."
        )
    expected = config.encoder_sha256
    if expected is not None and encoder.sha256 != expected:
        raise CheckpointError(
            f"encoder {encoder.name} (SHA-256 {encoder.sha256}) is not the one that the "
            f"checkpoint {folder} was trained on ({config.encoder}, SHA-256 {expected}): use that."
        )
