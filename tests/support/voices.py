"""Checkpoints of tiny generators."""

from __future__ import annotations

from pathlib import Path

import torch

from langgraph_cooper.nodes.finetuned.checkpoint import (
    VoiceCheckpoint,
    VoiceConfig,
    open_voice,
    write_voice,
)
from langgraph_cooper.nodes.finetuned.format import Budgets, Kind
from langgraph_cooper.ranker.data.dialogue import Speaker
from langgraph_cooper.ranker.model.config import AdapterConfig
from langgraph_cooper.ranker.model.lora import adapter_shapes
from tests.support.tiny_bases import tiny_base, write_base

TARGETS = {"causal": ("q_proj", "down_proj"), "seq2seq": ("q_proj", "fc1")}
ASPECTS = ("exploration", "comforting", "action")


def tiny_voice(
    folder: Path,
    kind: Kind = "causal",
    task: str = "esc",
    aspects: tuple[str, ...] = ASPECTS,
    size: float = 0.1,
    speaker: Speaker = "system",
) -> VoiceCheckpoint:
    """Write a checkpoint with random adapters, and its base beside it."""
    base = write_base(kind, folder / "base")
    config = VoiceConfig(
        task=task,
        aspects=aspects,
        speaker=speaker,
        base=str(base),
        kind=kind,
        budgets=Budgets(history=200, states=60, topics=80, reply=16),
        adapters=AdapterConfig(rank=2, alpha=4, targets=TARGETS[kind]),
        weights_sha256="",
    )
    generator = torch.Generator().manual_seed(1)
    shapes = adapter_shapes(tiny_base(kind).model, config.adapters)
    tensors = {
        name: size * torch.randn(shape, generator=generator) for name, shape in shapes.items()
    }
    write_voice(folder / "voice", tensors, config, "# A tiny one\n")
    return open_voice(folder / "voice")
