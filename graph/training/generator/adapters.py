"""Low-rank adapters on a base, by peft, with a quicker product on processors.

peft computes W x and B A x and adds them: many passes over long tensors. Here W + s B A is merged
once a step, in the precision of the product, and one product does; the gradients of A and B need
two small ones more.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from langgraph_cooper.ranker.model.config import AdapterConfig
from langgraph_cooper.ranker.training.adapters import add_adapters

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""Linear layers of Llama and its kin."""
SEQ2SEQ_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
"""Linear layers of BART and its kin."""


class _MergedProduct(torch.autograd.Function):
    """x (W + s B A)^T, whose gradient reaches x, A and B."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, merged: Tensor, a: Tensor, b: Tensor, scale: float) -> Tensor:
        x = x.to(merged.dtype)
        ctx.save_for_backward(x, merged, a, b)
        ctx.scale = scale
        return functional.linear(x, merged)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, merged, a, b = ctx.saved_tensors
        grad = grads[0].to(merged.dtype)
        flat, given = grad.flatten(0, -2), x.flatten(0, -2)  # [T, out], [T, in]
        low = given @ a.to(merged.dtype).T  # [T, r]
        for_b = ctx.scale * (flat.T @ low)
        for_a = ctx.scale * ((flat @ b.to(merged.dtype)).T @ given)
        return grad @ merged, None, for_a.to(a.dtype), for_b.to(b.dtype), None


class Adapters:
    """The adapters of a base in training.

    Args:
        model: The base; it is frozen, and its linear layers get adapters.
        config: Rank, scale and names of the layers.
    """

    def __init__(self, model: nn.Module, config: AdapterConfig) -> None:
        from peft.tuners.lora import Linear

        add_adapters(model, config)
        self._layers = [module for module in model.modules() if isinstance(module, Linear)]
        for layer in self._layers:
            layer.__dict__["forward"] = MethodType(_forward, layer)

    @torch.no_grad()
    def merge(self, dtype: torch.dtype) -> None:
        """Merge the present adapters: call it before each step's first product."""
        for layer in self._layers:
            a, b, scale = _parts(layer)
            weight: Any = layer.get_base_layer().weight
            layer.merged_weight = (weight + scale * (b @ a)).to(dtype)


def _forward(layer: Any, x: Tensor) -> Tensor:
    with torch.autocast(x.device.type, enabled=False):
        product: Callable[..., Tensor] = _MergedProduct.apply
        found = product(x, layer.merged_weight, *_parts(layer))
        bias = layer.get_base_layer().bias
        return found if bias is None else found + bias.to(found.dtype)


def _parts(layer: Any) -> tuple[Tensor, Tensor, float]:
    scale: float = layer.scaling["default"]
    return layer.lora_A["default"].weight, layer.lora_B["default"].weight, scale


def adapter_config(kind: str, *, rank: int, alpha: float) -> AdapterConfig:
    """Return the configuration of adapters on all linear layers of a kind of base."""
    targets = TARGETS if kind == "causal" else SEQ2SEQ_TARGETS
    return AdapterConfig(rank=rank, alpha=alpha, targets=targets)


def adapter_state(module: nn.Module) -> dict[str, Tensor]:
    """Return what of a module's state learns: what a checkpoint of a run has to hold."""
    return {name: value for name, value in module.state_dict().items() if ".lora_" in name}
