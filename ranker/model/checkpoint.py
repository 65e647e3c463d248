"""A checkpoint's folder and configuration, read and checked without torch.

A checkpoint is a folder with `config.json` (a `RankerConfig`) and `model.safetensors`; nothing in
it is ever executed. `weights` reads and writes the tensors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from langgraph_cooper.prompts.errors import CooperError, first_fault
from langgraph_cooper.ranker.model.config import RankerConfig
from langgraph_cooper.ranker.model.encoder import SentenceEncoder

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer"
"""Sub-folder of the tokeniser, in a checkpoint with all weights of its Transformer."""

REMEDY = "fetch the checkpoint again or train one with 'cooper train'"


class CheckpointError(CooperError):
    """A checkpoint is missing or damaged, or does not fit its use."""


class Checkpoint(NamedTuple):
    """A checkpoint whose configuration is read."""

    folder: Path
    config: RankerConfig

    def check_aspects(self, aspects: Sequence[str]) -> None:
        """Check that the checkpoint was trained for these aspects, in this order.

        Raises:
            CheckpointError: It was not.
        """
        if tuple(aspects) != self.config.aspects:
            raise CheckpointError(
                f"the checkpoint {self.folder} ranks {', '.join(self.config.aspects)} (task "
                f"{self.config.task}), not {', '.join(aspects)}: use a checkpoint trained for "
                "this task."
            )

    def check_encoder(self, encoder: SentenceEncoder) -> None:
        """Check that the checkpoint was trained on this encoder's embeddings.

        Raises:
            CheckpointError: The encoder's dimension or its pinned weights differ.
        """
        config = self.config
        if encoder.dimension != config.dimension:
            raise CheckpointError(
                f"encoder {encoder.name} gives {encoder.dimension} dimensions and the checkpoint "
                f"{self.folder} needs {config.dimension}: use its encoder {config.encoder}."
            )
        if config.encoder_sha256 not in (None, encoder.sha256):
            raise CheckpointError(
                f"encoder {encoder.name} (SHA-256 {encoder.sha256}) is not the one that the "
                f"checkpoint {self.folder} was trained on ({config.encoder}, SHA-256 "
                f"{config.encoder_sha256}): use that."
            )


def checkpoint_folder(name: str | Path) -> Path:
    """Return the local folder of a checkpoint.

    Args:
        name: A folder, or a hub name `owner/name`, which is fetched once.

    Raises:
        CheckpointError: There is no such folder, or the hub does not deliver it.
    """
    folder = Path(name)
    if folder.is_dir():
        return folder
    # "checkpoints/esc" reads like a hub name; an existing parent folder shows that it is a path.
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


def open_checkpoint(name: str | Path | Checkpoint) -> Checkpoint:
    """Find a checkpoint and read its configuration; return one that is open as it is.

    Args:
        name: A folder or hub name.

    Raises:
        CheckpointError: The checkpoint is missing, or its configuration is another program's.
    """
    if isinstance(name, Checkpoint):
        return name
    folder = checkpoint_folder(name)
    file = folder / CONFIG
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
        return Checkpoint(folder, RankerConfig.model_validate(raw))
    except ValidationError as error:
        raise CheckpointError(
            f"{file} is not the configuration of a ranker of this version "
            f"({first_fault(error)}): {REMEDY}."
        ) from None
