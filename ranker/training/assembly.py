"""Putting a ranker together for training: target states, layers that learn, parameter groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from langgraph_cooper.prompts.task import TaskSpec
from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue
from langgraph_cooper.ranker.data.labels import Encode
from langgraph_cooper.ranker.model.config import AdapterConfig, RankerConfig
from langgraph_cooper.ranker.model.ranker import CooperRanker
from langgraph_cooper.ranker.model.transformer import Transformer
from langgraph_cooper.ranker.training.config import TrainConfig, TrainingError
from langgraph_cooper.ranker.training.targets import TargetStates, find_targets

ATTENTION_DROPOUT = ("self.dropout", "attn.dropout")
"""How Bert-like models name the dropout of attention weights."""


def target_states(
    dialogues: Sequence[AnnotatedDialogue],
    task: TaskSpec,
    encode: Encode,
    config: TrainConfig,
) -> list[TargetStates]:
    """The typical target states of each aspect, in the task's order."""
    ks = range(config.clusters[0], config.clusters[1] + 1) if config.clusters else None
    return [
        find_targets(
            name,
            [dialogue.final_states.get(name, "") for dialogue in dialogues],
            encode,
            ks=ks,
            seed=config.seed,
        )
        for name in task.aspect_names
    ]


def new_ranker(
    config: TrainConfig,
    task: TaskSpec,
    targets: Sequence[TargetStates],
    transformer: Transformer,
    sha256: str | None,
) -> CooperRanker:
    """A ranker before its training; what does not learn is frozen.

    Args:
        config: The run.
        task: Its task.
        targets: Target states of each aspect, in the task's order.
        transformer: Where its Transformer starts from; taken over.
        sha256: Of the sentence encoder's weights, where they are pinned.

    Raises:
        TrainingError: No layer would be left to train.
    """
    layers = int(getattr(transformer.module.config, "num_hidden_layers", 0))
    if config.freeze_layers and config.freeze_layers >= layers:
        raise TrainingError(
            f"freeze_layers is {config.freeze_layers} of {layers} layers: leave at least one to "
            "be trained"
        )
    for name, module in transformer.module.named_modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0 if name.endswith(ATTENTION_DROPOUT) else config.dropout
    adapter = None
    if config.adapter_rank:
        upper = tuple(range(config.freeze_layers, layers))
        adapter = AdapterConfig(
            rank=config.adapter_rank, alpha=2.0 * config.adapter_rank, layers=upper
        )
    own = config.fusion == "aspect"  # the paper's takes nothing beside its own
    ranker = CooperRanker(
        RankerConfig(
            task=task.name,
            aspects=task.aspect_names,
            encoder=config.encoder,
            encoder_sha256=sha256,
            dimension=targets[0].centroids.shape[1],
            transformer=config.transformer,
            transformer_config=None if adapter else _architecture(transformer.module),
            weights="adapters" if adapter else "full",
            adapter=adapter,
            form=config.form,
            history_tokens=config.history_tokens,
            topic_tokens=config.topic_tokens,
            fusion=config.fusion,
            evidence=config.evidence and own,
            rounds=config.rounds,
            decision=config.decision if config.evidence and own else 0.0,
            progression=config.progression,
            targets=tuple(len(target.texts) for target in targets),
            target_texts=tuple(target.texts for target in targets),
            calibration=((0.0, 1.0),) * len(targets),
        ),
        transformer,
        [torch.from_numpy(target.centroids) for target in targets],
        torch.Generator().manual_seed(config.seed),
    )
    if adapter is None and config.freeze_layers:
        _freeze(ranker.transformer, config.freeze_layers)
    return ranker


def _architecture(module: nn.Module) -> dict[str, Any]:
    architecture: Any = module.config
    return dict(architecture.to_dict())


def _freeze(transformer: nn.Module, layers: int) -> None:
    """Keeps the embeddings and the lowest layers as they are."""
    for name, parameter in transformer.named_parameters():
        steps = name.split(".")
        number = next((int(step) for step in steps if step.isdigit()), -1)
        parameter.requires_grad_("embeddings" not in steps and number >= layers)


def parameter_groups(ranker: CooperRanker, config: TrainConfig) -> list[dict[str, Any]]:
    """AdamW's groups: weight matrices of Transformer or adapters, those of the heads, the rest.

    Biases and the scales of normalisations are not decayed, nor is W of the progression modules,
    which starts at the identity. Where the Transformer learns in full, its own ones are a fourth
    group, with its rate.
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
    ]
    if inner:  # not with adapters, whose saved states then still fit
        groups.append({"params": inner, "lr": config.rate, "weight_decay": 0.0})
    return groups
