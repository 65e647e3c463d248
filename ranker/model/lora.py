"""Low-rank adapters (LoRA): W + (alpha / rank) B A over linear layers of the Transformer.

Training learns A and B with peft. Loading adds their product to W, so that inference needs no peft
and no further arithmetic.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from langgraph_cooper.ranker.model.config import AdapterConfig

PARTS = {"lora_A.default.weight": "a", "lora_B.default.weight": "b"}
"""peft's names for A `[rank, in]` and B `[out, rank]` -> their names in a checkpoint."""


def adapted_layers(transformer: nn.Module, config: AdapterConfig) -> dict[str, nn.Linear]:
    """Return the linear layers that a configuration selects, by name.

    Raises:
        ValueError: No layer has such a name.
    """
    found = {
        name: module
        for name, module in transformer.named_modules()
        if isinstance(module, nn.Linear) and _selected(name, config)
    }
    if not found:
        raise ValueError(f"the Transformer has no linear layers named {', '.join(config.targets)}")
    return found


def _selected(name: str, config: AdapterConfig) -> bool:
    layer = re.search(r"(?:^|\.)layers?\.(\d+)\.", name)
    if layer is None:  # embeddings and poolers
        return False
    inside = config.layers is None or int(layer.group(1)) in config.layers
    return inside and name.rsplit(".", 1)[-1] in config.targets


def adapter_shapes(transformer: nn.Module, config: AdapterConfig) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all A and B, by their names in a checkpoint."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, layer in adapted_layers(transformer, config).items():
        shapes[f"{name}.a"] = (config.rank, layer.in_features)
        shapes[f"{name}.b"] = (layer.out_features, config.rank)
    return shapes


def adapter_tensors(transformer: nn.Module) -> dict[str, Tensor]:
    """Return A and B of the adapters that peft has added, by their names in a checkpoint."""
    return {
        name.removesuffix(long) + short: value
        for name, value in transformer.state_dict().items()
        for long, short in PARTS.items()
        if name.endswith(f".{long}")
    }


def load_adapted(
    transformer: nn.Module, head: nn.Module, config: AdapterConfig, tensors: Mapping[str, Tensor]
) -> None:
    """Merge a checkpoint's adapters into a Transformer, and fill a head from its `head.*`.

    Raises:
        ValueError: Tensors are missing or of other shapes, or the Transformer has other layers.
    """
    expected = adapter_shapes(transformer, config)
    if {name: tuple(tensors[name].shape) for name in expected if name in tensors} != expected:
        raise ValueError("the adapters do not fit the Transformer")
    merge_adapters(transformer, config, tensors)
    own = {name.removeprefix("head."): t.float() for name, t in tensors.items() if "head." in name}
    try:
        head.load_state_dict(own)
    except RuntimeError:
        raise ValueError("the tensors do not fit the head") from None


@torch.no_grad()
def merge_adapters(
    transformer: nn.Module, config: AdapterConfig, tensors: Mapping[str, Tensor]
) -> None:
    """Add (alpha / rank) B A to the weight of each adapted layer."""
    for name, layer in adapted_layers(transformer, config).items():
        a, b = tensors[f"{name}.a"].float(), tensors[f"{name}.b"].float()
        layer.weight += config.alpha / config.rank * (b @ a)
