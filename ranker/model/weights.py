"""Reading and writing a ranker's weights.

The weight file holds the heads, W and the target states of every aspect, and of the Transformer
either its adapters or all weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from langgraph_cooper.ranker.model.checkpoint import (
    CONFIG,
    REMEDY,
    TOKENIZER,
    WEIGHTS,
    CheckpointError,
    check_aspects,
    checkpoint_folder,
    read_config,
)
from langgraph_cooper.ranker.model.config import RankerConfig
from langgraph_cooper.ranker.model.encoder import EncoderError, encoder_sha256
from langgraph_cooper.ranker.model.lora import LowRankLinear
from langgraph_cooper.ranker.model.transformer import load_transformer, transformer_from_config

if TYPE_CHECKING:
    from langgraph_cooper.ranker.model.ranker import CooperRanker

ModelT = TypeVar("ModelT", bound="CooperRanker")


def save_checkpoint(model: CooperRanker, folder: str | Path, *, half: bool = True) -> RankerConfig:
    """Saves a ranker, so that a kill at any moment leaves no mixture that would load.

    Args:
        model: with its adapters not merged.
        folder: made if missing; other files in it (a model card) are left alone.
        half: store numbers in half precision.

    Returns:
        The configuration as saved, with the fingerprints of the weights filled in.

    Raises:
        CheckpointError: if the folder cannot be written.
    """
    target = Path(folder)
    dtype = torch.float16 if half else torch.float32
    names = _saved_names(model)
    tensors = {k: v.detach().cpu() for k, v in model.state_dict().items() if k in names}
    data = save({k: v.to(dtype).contiguous() for k, v in tensors.items()})
    config = _stamped(model, hashlib.sha256(data).hexdigest())
    text = config.model_dump_json(indent=2) + "\n"
    try:
        target.mkdir(parents=True, exist_ok=True)
        if config.weights == "full":
            model.tokenizer.tokenizer.save_pretrained(target / TOKENIZER)
        # Both files are complete on the disk before either takes its place; the configuration
        # carries the weights' hash, so that a kill between the two is found at loading.
        staged = [_stage(target / WEIGHTS, data), _stage(target / CONFIG, text.encode())]
        for part, file in zip(staged, (WEIGHTS, CONFIG), strict=True):
            part.replace(target / file)
    except OSError as error:
        raise CheckpointError(
            f"the checkpoint cannot be written to {target} ({error.strerror or error}): "
            "make room or choose another folder."
        ) from error
    return config


def load_checkpoint(
    name: str | Path,
    model_class: type[ModelT],
    *,
    aspects: Sequence[str] | None = None,
    merge: bool = True,
) -> ModelT:
    """Loads a ranker in float32 and evaluation mode.

    Args:
        name: a folder or hub name.
        model_class: `CooperRanker` or a subclass.
        aspects: the aspects that the task has; checked against the checkpoint's.
        merge: fold the adapters into the Transformer; keep them apart to train further.

    Raises:
        CheckpointError: if anything about the checkpoint does not fit; one sentence says what.
    """
    folder = checkpoint_folder(name)
    config = read_config(folder)
    if aspects is not None:
        check_aspects(config, aspects, folder)
    file = folder / WEIGHTS
    tensors = _read_tensors(file)
    try:
        if config.weights == "full":
            architecture = config.transformer_config or {}
            transformer = transformer_from_config(architecture, folder / TOKENIZER)
        else:
            _check_transformer(config, folder)
            transformer = load_transformer(config.transformer)
        model = model_class(config, transformer)
    except (EncoderError, ValueError) as error:
        raise CheckpointError(
            f"the checkpoint {folder} cannot be used: {str(error).rstrip('.')}."
        ) from error
    _check_tensors(file, tensors, _expected(model))
    _check_hash(file, config)
    model.load_state_dict(tensors, strict=False)  # checked above; copied into float32
    if merge:
        model.merge_adapters()
    return model.eval()


def _stamped(model: CooperRanker, weights_sha256: str) -> RankerConfig:
    """The model's configuration with fingerprints and the current calibration."""
    config = model.config
    spans = [m.get_buffer("calibration").tolist() for m in model.progressions.values()]
    update: dict[str, Any] = {
        "weights_sha256": weights_sha256,
        "encoder_sha256": config.encoder_sha256 or _local_sha256(config.encoder),
        "calibration": tuple((float(mean), float(deviation)) for mean, deviation in spans),
    }
    if config.weights == "full":
        update["transformer_config"] = _architecture(model)
    else:
        update["transformer_sha256"] = _local_sha256(config.transformer)
    return RankerConfig.model_validate(config.model_dump() | update)


def _architecture(model: CooperRanker) -> dict[str, Any]:
    """The Transformer's configuration as its library wrote it: only what differs from defaults."""
    config: Any = model.transformer.config
    architecture: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
    return architecture


def _local_sha256(name: str) -> str | None:
    try:
        return encoder_sha256(name)
    except EncoderError:  # an absent package is a matter for whoever loads it
        return None


def _check_transformer(config: RankerConfig, folder: Path) -> None:
    expected = config.transformer_sha256
    if expected is None:
        return
    found = encoder_sha256(config.transformer)
    if found != expected:
        raise CheckpointError(
            f"the Transformer {config.transformer} (SHA-256 {found}) is not the one that the "
            f"adapters in {folder} were trained on (SHA-256 {expected}): restore that one."
        )


def _saved_names(model: CooperRanker) -> set[str]:
    """Names of the tensors that belong in the checkpoint: of the Transformer only what changed."""
    prefix = "transformer."
    names = set(model.state_dict())
    if model.config.weights == "full":
        return names
    kept = {name for name in names if not name.startswith(prefix)}
    adapters = [k for k, v in model.transformer.named_modules() if isinstance(v, LowRankLinear)]
    if model.config.adapter is not None and not adapters:
        raise ValueError("the adapters of this ranker are merged; save it before merging")
    return kept | {f"{prefix}{name}.{part}" for name in adapters for part in ("a", "b")}


def _expected(model: CooperRanker) -> dict[str, tuple[int, ...]]:
    state = model.state_dict()
    return {name: tuple(state[name].shape) for name in _saved_names(model)}


def _stage(file: Path, data: bytes) -> Path:
    """Writes `data` beside `file` under a temporary name, down to the disk."""
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


def _read_tensors(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except FileNotFoundError:
        raise CheckpointError(f"{file} is missing: {REMEDY}.") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{file} is damaged or not a safetensors file (an unfinished copy?): {REMEDY}."
        ) from error


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


def _check_hash(file: Path, config: RankerConfig) -> None:
    if config.weights_sha256 is None:
        return
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != config.weights_sha256:
        raise CheckpointError(
            f"{file} does not belong to the {CONFIG} beside it (SHA-256 {found}, expected "
            f"{config.weights_sha256}): {REMEDY}."
        )


def _some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:3]) + (f" and {len(ordered) - 3} more" if len(ordered) > 3 else "")
