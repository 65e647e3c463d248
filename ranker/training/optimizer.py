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
    """Group the trained parameters by learning rate (Transformer or heads) and weight decay.

    Biases and scales of normalisations are not decayed, nor is W of the progression modules, which
    starts at the identity.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {
        (inside, decayed): [] for decayed in (True, False) for inside in (True, False)
    }
    for name, parameter in ranker.named_parameters():
        if parameter.requires_grad:
            decayed = parameter.ndim > 1 and not name.startswith("progressions.")
            groups[name.startswith("transformer."), decayed].append(parameter)
    return [
        {
            "params": parameters,
            "lr": config.rate if inside else config.head_rate,
            "weight_decay": config.weight_decay if decayed else 0.0,
        }
        for (inside, decayed), parameters in groups.items()
        if parameters
    ]
