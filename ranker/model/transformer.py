"""Loading the ranker's Transformer (the paper's TRS) and its tokeniser."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from langgraph_cooper.ranker.model.config import DEFAULT_ENCODER
from langgraph_cooper.ranker.model.encoder import (
    EncoderError,
    encoder_folder,
    first_line,
    quiet_transformers,
)

SUPPORTED = ("bert", "electra")
"""Model types that are tested with the packed and the pairwise form.

Others would give wrong scores without an error (RoBERTa numbers positions from 2, the ranker from
0), cannot mask the attention as the packed form needs it (MPNet), or name their layers so that
adapters and dropout do not find them (DistilBERT)."""
READABLE = (*SUPPORTED, "mpnet")
"""Model types that read whole texts, which needs neither the packed form nor its mask."""


class Transformer(NamedTuple):
    """A Transformer encoder of a supported type, and its tokeniser."""

    module: nn.Module
    tokenizer: PreTrainedTokenizerBase

    @property
    def width(self) -> int:
        """Number of dimensions of a token's vector."""
        return int(self.module.config.hidden_size)  # type: ignore[union-attr, arg-type]


def load_transformer(name: str, types: Sequence[str] = SUPPORTED) -> Transformer:
    """Load the Transformer that a model starts from.

    Args:
        name: The default encoder (its pinned weights), a hub name or a folder.
        types: Model types that the model can use.

    Raises:
        EncoderError: It cannot be loaded, or its type is not supported.
    """
    folder = encoder_folder(name)
    local = Path(folder).is_dir()
    with quiet_transformers():
        try:
            config = AutoConfig.from_pretrained(folder, local_files_only=local)
            _check_type(f"Transformer {name!r}", config.model_type, types)
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=local)
            # sdpa takes a boolean mask of any shape; eager attention would add it as numbers.
            attention = "sdpa" if config.model_type in SUPPORTED else "eager"
            module = AutoModel.from_pretrained(
                folder, config=config, local_files_only=local, attn_implementation=attention
            )
        except EncoderError:
            raise
        except Exception as error:  # hub, file system and model classes each raise their own
            raise EncoderError(
                f"Transformer {name!r} cannot be loaded ({first_line(error)}): check the name or "
                f"folder and the network, or use {DEFAULT_ENCODER}, which needs neither."
            ) from error
    return Transformer(_without_pooler(module).float(), tokenizer)


def transformer_from_config(config: dict[str, Any], tokenizer_folder: str | Path) -> Transformer:
    """Build a Transformer with random weights, to be filled from a checkpoint.

    Raises:
        EncoderError: The architecture is unknown or not supported, or the tokeniser is missing.
    """
    if "model_type" in config:
        _check_type(f"the Transformer saved in {tokenizer_folder}", config["model_type"])
    with quiet_transformers():
        try:
            tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder, local_files_only=True)
            module = AutoModel.from_config(  # type: ignore[no-untyped-call]
                AutoConfig.for_model(**config), attn_implementation="sdpa"
            )
        except Exception as error:  # each of the three raises its own
            raise EncoderError(
                f"the Transformer saved in {tokenizer_folder} cannot be rebuilt "
                f"({first_line(error)}): its tokeniser or architecture is missing or damaged; "
                "fetch the checkpoint again."
            ) from error
    return Transformer(_without_pooler(module).float(), tokenizer)


def _check_type(which: str, found: str, types: Sequence[str] = SUPPORTED) -> None:
    if found not in types:
        raise EncoderError(
            f"{which} is a model of the type {found!r}, which is not supported here: name one of "
            f"the type {' or '.join(types)}, such as the default {DEFAULT_ENCODER}."
        )


def _without_pooler(module: Any) -> Any:
    # The score reads [CLS] itself, and an unused layer would never get a gradient.
    if getattr(module, "pooler", None) is not None:
        module.pooler = None
    return module
