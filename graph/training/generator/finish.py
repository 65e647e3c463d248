"""Writes a trained generator's checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from langgraph_cooper.graph.training.generator.adapters import adapter_config
from langgraph_cooper.graph.training.generator.train import GeneratorTraining
from langgraph_cooper.nodes.finetuned.checkpoint import VoiceConfig, write_voice
from langgraph_cooper.nodes.finetuned.format import Kind
from langgraph_cooper.prompts import TaskSpec
from langgraph_cooper.ranker.data.dialogue import Speaker


def save_generator(
    folder: Path,
    tensors: Mapping[str, Tensor],
    *,
    task: TaskSpec,
    kind: Kind,
    settings: GeneratorTraining,
    card: str,
    speaker: Speaker = "system",
) -> VoiceConfig:
    """Write a checkpoint.

    Args:
        folder: Its folder.
        tensors: The adapters (`adapter_tensors`).
        task: The task that it was trained for.
        kind: The base's kind.
        settings: Those of the training.
        card: The text of the model card.
        speaker: The side that it learnt.
    """
    config = VoiceConfig(
        task=task.name,
        aspects=task.aspect_names,
        speaker=speaker,
        base=settings.base,
        kind=kind,
        budgets=settings.budgets,
        adapters=adapter_config(kind, rank=settings.rank, alpha=settings.alpha),
        weights_sha256="",
    )
    return write_voice(folder, tensors, config, card)
