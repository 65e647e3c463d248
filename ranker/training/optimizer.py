"""AdamW's parameter groups and the schedule of its learning rate."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from langgraph_cooper.ranker.model.ranker import CooperRanker
from langgraph_cooper.ranker.training.config import TrainConfig


def new_optimizer(
    ranker: CooperRanker, config: TrainConfig, steps: int
) -> tuple[torch.optim.AdamW, LambdaLR]:
    """Build the optimiser, and a schedule that rises linearly, then falls linearly to 0."""
    optimizer = torch.optim.AdamW(parameter_groups(ranker, config))
    rising = max(1, round(steps * config.warmup))

    def share(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return max(0.0, (steps - step) / max(1, steps - rising))

    return optimizer, LambdaLR(optimizer, share)


def parameter_groups(ranker: CooperRanker, config: TrainConfig) -> list[dict[str, Any]]:
    """Group the trained parameters: matrices of the Transformer, those of the heads, the rest.

    Biases and scales of normalisations are not decayed, nor is W of the progression modules, which
    starts at the identity. Those of a Transformer trained in full are a fourth group, with its
    rate.
    """
    transformer: list[nn.Parameter] = []
    heads: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    inner: list[nn.Parameter] = []
    for name, parameter in ranker.named_parameters():
        if not parameter.requires_grad:
            continue
        if name.startswith("transformer."):
            (transformer if parameter.ndim > 1 else inner).append(parameter)
        elif parameter.ndim > 1 and not name.startswith("progressions."):
            heads.append(parameter)
        else:
            plain.append(parameter)
    groups = [
        {"params": transformer, "lr": config.rate, "weight_decay": config.weight_decay},
        {"params": heads, "lr": config.head_rate, "weight_decay": config.weight_decay},
        {"params": plain, "lr": config.head_rate, "weight_decay": 0.0},
        {"params": inner, "lr": config.rate, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
