"""Reading and writing the files of a checkpoint.

The weight file holds the heads, W and the target states of every aspect, and of the Transformer
either its adapters or all weights.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from langgraph_cooper.ranker.model.checkpoint import (
    CONFIG,
    REMEDY,
    TOKENIZER,
    WEIGHTS,
    Checkpoint,
    CheckpointError,
)
from langgraph_cooper.ranker.model.config import RankerConfig
from langgraph_cooper.ranker.model.encoder import encoder_sha256, file_sha256
from langgraph_cooper.ranker.model.transformer import (
    Transformer,
    load_transformer,
    transformer_from_config,
)


def write_checkpoint(
    folder: str | Path,
    config: RankerConfig,
    tensors: Mapping[str, Tensor],
    tokenizer: PreTrainedTokenizerBase,
    *,
    half: bool,
) -> RankerConfig:
    """Write a checkpoint. A kill at any moment leaves no mixture that would load.

    Args:
        folder: Created if missing; other files in it (a model card) stay.
        config: Its `weights_sha256` is filled in.
        tensors: The weights, by name.
        tokenizer: Written with all weights of a Transformer.
        half: Store numbers in half precision.

    Returns:
        The configuration as written.

    Raises:
        CheckpointError: The folder cannot be written.
    """
    target = Path(folder)
    dtype = torch.float16 if half else torch.float32
    data = save({k: v.detach().cpu().to(dtype).contiguous() for k, v in tensors.items()})
    config = config.model_copy(update={"weights_sha256": hashlib.sha256(data).hexdigest()})
    text = config.model_dump_json(indent=2) + "\n"
    try:
        target.mkdir(parents=True, exist_ok=True)
        if config.weights == "full":
            tokenizer.save_pretrained(target / TOKENIZER)
        # Both files are complete on the disk before either is renamed. The configuration carries
        # the weights' hash, so that loading detects a kill between the two.
        staged = [_stage(target / WEIGHTS, data), _stage(target / CONFIG, text.encode())]
        for part, file in zip(staged, (WEIGHTS, CONFIG), strict=True):
            part.replace(target / file)
    except OSError as error:
        raise CheckpointError(
            f"the checkpoint cannot be written to {target} ({error.strerror or error}): "
            "make room or choose another folder."
        ) from error
    return config


def _stage(file: Path, data: bytes) -> Path:
    """Write `data` beside `file` under a temporary name, and flush it to the disk."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)  # mkstemp's files are private; a checkpoint is not
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def read_transformer(checkpoint: Checkpoint) -> Transformer:
    """Load the Transformer that adapters change, or build the one that full weights fill.

    Raises:
        CheckpointError: It is not the one that the adapters were trained on.
        EncoderError: It cannot be loaded.
    """
    config = checkpoint.config
    if config.weights == "full":
        architecture = config.transformer_config or {}
        return transformer_from_config(architecture, checkpoint.folder / TOKENIZER)
    if config.transformer_sha256 is not None:
        found = encoder_sha256(config.transformer)
        if found != config.transformer_sha256:
            raise CheckpointError(
                f"the Transformer {config.transformer} (SHA-256 {found}) is not the one that the "
                f"adapters in {checkpoint.folder} were trained on (SHA-256 "
                f"{config.transformer_sha256}): restore that one."
            )
    return load_transformer(config.transformer)


def read_weights(
    checkpoint: Checkpoint, expected: Mapping[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    """Read the weights of a checkpoint, as they are stored.

    Args:
        checkpoint: The checkpoint.
        expected: Name -> shape of all tensors that it must have.

    Raises:
        CheckpointError: The file is missing or damaged, or does not fit the configuration.
    """
    file = checkpoint.folder / WEIGHTS
    try:
        tensors = load_file(file)
    except FileNotFoundError:
        raise CheckpointError(f"{file} is missing: {REMEDY}.") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{file} is damaged or not a safetensors file (an unfinished copy?): {REMEDY}."
        ) from error
    _check_tensors(file, tensors, expected)
    wanted, found = checkpoint.config.weights_sha256, file_sha256(file)
    if wanted not in (None, found):
        raise CheckpointError(
            f"{file} does not belong to the {CONFIG} beside it (SHA-256 {found}, expected "
            f"{wanted}): {REMEDY}."
        )
    return tensors


def _check_tensors(
    file: Path, found: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]
) -> None:
    for problem, names in (
        ("lacks", expected.keys() - found.keys()),
        ("has unexpected", found.keys() - expected.keys()),
    ):
        if names:
            raise CheckpointError(f"{file} {problem} tensors ({_some(names)}): {REMEDY}.")
    for name in sorted(expected):
        shape = tuple(found[name].shape)
        if shape != expected[name]:
            raise CheckpointError(
                f"{file} holds {name} in shape {list(shape)} where its configuration needs "
                f"{list(expected[name])}: {REMEDY}."
            )


def _some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:3]) + (f" and {len(ordered) - 3} more" if len(ordered) > 3 else "")
