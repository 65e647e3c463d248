"""Low-rank adapters: W + (alpha / rank) B A over linear layers of a Transformer.

Small enough to need no library, so that a shipped checkpoint is loaded by what trained it. Before
inference the adapters are merged into W and cost nothing.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from langgraph_cooper.ranker.model.config import AdapterConfig


class LowRankLinear(nn.Module):
    """A frozen linear layer plus a trainable change of low rank.

    Args:
        base: the layer `y = W x + b`; its parameters are frozen.
        config: rank r, alpha and dropout.
    """

    def __init__(self, base: nn.Linear, config: AdapterConfig) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = config.alpha / config.rank
        self.a = nn.Parameter(torch.empty(config.rank, base.in_features))
        # B starts at zero: an untrained adapter changes nothing.
        self.b = nn.Parameter(torch.zeros(base.out_features, config.rank))
        nn.init.kaiming_uniform_(self.a, a=5**0.5)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        """`[..., in]` to `[..., out]`."""
        low = nn.functional.linear(self.dropout(inputs), self.a)  # [..., r]
        result: Tensor = self.base(inputs) + self.scale * nn.functional.linear(low, self.b)
        return result

    def merged(self) -> nn.Linear:
        """The plain layer with W + scale B A."""
        with torch.no_grad():
            self.base.weight += self.scale * (self.b @ self.a)
        return self.base


def add_adapters(transformer: nn.Module, config: AdapterConfig) -> int:
    """Freezes a Transformer and puts adapters over the layers that the configuration names.

    Returns:
        How many layers got one.

    Raises:
        ValueError: if no layer has such a name.
    """
    transformer.requires_grad_(False)
    chosen = [
        name
        for name, module in transformer.named_modules()
        if isinstance(module, nn.Linear) and _wanted(name, config)
    ]
    if not chosen:
        raise ValueError(f"the Transformer has no linear layers named {', '.join(config.targets)}")
    for name in chosen:
        base = transformer.get_submodule(name)
        assert isinstance(base, nn.Linear)
        transformer.set_submodule(name, LowRankLinear(base, config))
    return len(chosen)


def merge_adapters(transformer: nn.Module) -> None:
    """Folds every adapter into its layer."""
    for name, module in list(transformer.named_modules()):
        if isinstance(module, LowRankLinear):
            transformer.set_submodule(name, module.merged())


def _wanted(name: str, config: AdapterConfig) -> bool:
    layer = re.search(r"(?:^|\.)layers?\.(\d+)\.", name)
    if layer is None:  # embeddings and poolers
        return False
    inside = config.layers is None or int(layer.group(1)) in config.layers
    return inside and name.rsplit(".", 1)[-1] in config.targets
