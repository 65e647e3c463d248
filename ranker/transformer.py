"""Loading the ranker's Transformer (the paper's TRS) and its tokeniser."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from langgraph_cooper.ranker.encoder import EncoderError, encoder_folder, quiet_transformers


class Transformer(NamedTuple):
    """A Transformer encoder with a BERT-like call, and its tokeniser."""

    module: nn.Module
    tokenizer: PreTrainedTokenizerBase


def load_transformer(name: str) -> Transformer:
    """Loads the Transformer that the ranker starts from.

    Args:
        name: the default encoder (its pinned weights), a hub name or a folder.

    Raises:
        EncoderError: if it cannot be loaded.
    """
    folder = encoder_folder(name)
    local = Path(folder).is_dir()
    with quiet_transformers():
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=local)
            # sdpa takes a boolean mask of any shape; eager attention would add it as a number.
            module = AutoModel.from_pretrained(
                folder, local_files_only=local, attn_implementation="sdpa"
            )
        except Exception as error:  # hub, file system and model classes each raise their own
            raise EncoderError(
                f"Transformer {name!r} cannot be loaded: check the name or folder and the "
                "network, or use the default encoder, which needs neither."
            ) from error
    return Transformer(_without_pooler(module).float(), tokenizer)


def transformer_from_config(config: dict[str, Any], tokenizer_folder: str | Path) -> Transformer:
    """Builds a Transformer whose weights a checkpoint holds in full; they are random here.

    Raises:
        EncoderError: if the architecture is unknown or the tokeniser is missing.
    """
    with quiet_transformers():
        try:
            tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder, local_files_only=True)
            module = AutoModel.from_config(  # type: ignore[no-untyped-call]
                AutoConfig.for_model(**config), attn_implementation="sdpa"
            )
        except Exception as error:  # each of the three has its own way to fail
            raise EncoderError(
                f"the Transformer saved in {tokenizer_folder} cannot be rebuilt: its tokeniser "
                "or architecture is missing; fetch the checkpoint again."
            ) from error
    return Transformer(_without_pooler(module).float(), tokenizer)


def _without_pooler(module: Any) -> Any:
    # The score reads [CLS] itself, and an unused layer would never get a gradient.
    if getattr(module, "pooler", None) is not None:
        module.pooler = None
    return module
