"""The configuration of a training run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from langgraph_cooper.prompts.errors import CooperError
from langgraph_cooper.prompts.task import TaskSpec
from langgraph_cooper.ranker.model.config import DEFAULT_ENCODER, Form, Fusion, Precision
from langgraph_cooper.ranker.model.encoder import encoder_sha256
from langgraph_cooper.ranker.training.losses import Objective

NOT_THE_RESULT = {"output", "cache", "data_note", "licence", "save_every"}
"""Settings without influence on the weights."""

FILES = {"train", "valid"}
"""Settings that count by the contents of the file."""

PAPER: Mapping[str, Any] = {
    "form": "pairwise",
    "fusion": "paper",
    "objective": "paper",
    "progression": True,
    "evidence": False,
    "encoder": "sentence-transformers/all-mpnet-base-v2",
    "transformer": "bert-base-uncased",
    "adapter_rank": 0,
    "freeze_layers": 0,
    "transformer_rate": 5e-5,
    "head_rate": 5e-5,
    "history_tokens": 128,
    "topic_tokens": 16,
    "turns_per_batch": 1,
    "epochs": 5,
}
"""The paper's set-up (`cooper train --preset paper`): each candidate by itself, one feed-forward
network over all signals, triplet and pointwise losses, all-mpnet-base-v2 for the states,
bert-base-uncased trained in full, one learning rate. Warm-up, clipping, weight decay and dropout
are not recorded and keep their defaults."""


class TrainingError(CooperError):
    """A training run cannot start, go on or save; the message names the remedy."""


class TrainConfig(BaseModel):
    """The settings of a training run.

    The same settings and files give the same result on the CPU of one machine. Other machines,
    numbers of threads and accelerators round sums differently.

    Attributes:
        task: Name or path of the task.
        train: Annotated JSONL.
        valid: Annotated JSONL, for choosing the epoch.
        output: Folder of the checkpoint.
        encoder: Sentence encoder of states and similarities.
        transformer: Source of the Transformer's initial weights.
        form: "packed" or "pairwise" (the paper's).
        fusion: "aspect" or "paper" (see `langgraph_cooper.ranker.model.fusion`).
        progression: False trains the ablation without progression signals.
        evidence: Compare embeddings of candidates with recent and predicted utterances; fitted
            before the rest and then frozen (see `langgraph_cooper.ranker.model.evidence`). Ignored
            with `fusion="paper"`, like the next two.
        rounds: Number of dialogue rounds that the evidence distinguishes.
        decision: Weight of P(aspect | round, last utterances) in the decision between the aspects
            (see `langgraph_cooper.ranker.model.ranker.mix_in_aspects`).
        adapter_rank: Rank of the low-rank adapters; 0 trains the Transformer in full.
        freeze_layers: Number of the Transformer's lowest layers that are not trained: they have no
            adapters and no backward pass.
        history_tokens: Number of the history's last tokens to read.
        topic_tokens: Number of a candidate's first tokens to read.
        objective: Losses and their weights.
        clusters: Smallest and largest number of target states to try; default N/50 to N/20.
        epochs: Largest number of epochs. More than one cost precision@1 on ESConv
            (docs/results-attempts.md).
        patience: Number of epochs without a better one before stopping; None: never stop.
        turns_per_batch: Turns in a step, over all devices.
        transformer_rate: Learning rate of adapters or Transformer; default 2e-4, in full 5e-5.
        head_rate: Learning rate of progression modules, MLP and score.
        warmup: Share of the steps with a rising rate; it falls linearly afterwards.
        weight_decay: Weight decay of matrices other than the progression modules' W.
        clip: Largest norm of the gradient.
        dropout: Dropout of the Transformer's trained layers, but for attention weights: it would
            keep a CPU from computing attention in one fused step.
        seed: Seed of everything random in the training; it divides no data.
        max_turns: Number of turns to train on, drawn by seed; None: all. Evidence is fitted to all.
        precision: "auto" takes bfloat16 where the device computes in it.
        device: "auto" (CUDA if available), "cpu" or "cuda".
        save_every: Steps between two saved states.
        cache: Folder of computed embeddings; default: beside the run's state.
        data_note: For the model card: contents of the files and source of the annotation.
        licence: For the model card: terms of use of the checkpoint.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    train: Path
    valid: Path
    output: Path
    encoder: str = DEFAULT_ENCODER
    transformer: str = DEFAULT_ENCODER
    form: Form = "packed"
    fusion: Fusion = "aspect"
    progression: bool = True
    evidence: bool = True
    rounds: int = Field(default=15, ge=1)
    decision: float = Field(default=0.6, ge=0, le=1)
    adapter_rank: int = Field(default=16, ge=0)
    freeze_layers: int = Field(default=3, ge=0)
    history_tokens: int = Field(default=128, ge=8)
    topic_tokens: int = Field(default=32, ge=4)
    objective: Objective = Objective()
    clusters: tuple[int, int] | None = None
    epochs: int = Field(default=1, ge=1)
    patience: int | None = Field(default=None, ge=1)
    turns_per_batch: int = Field(default=16, ge=1)
    transformer_rate: float | None = Field(default=None, gt=0)
    head_rate: float = Field(default=1e-3, gt=0)
    warmup: float = Field(default=0.06, ge=0, lt=1)
    weight_decay: float = Field(default=0.01, ge=0)
    clip: float = Field(default=1.0, gt=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    seed: int = 0
    max_turns: int | None = Field(default=None, ge=1)
    precision: Precision = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    save_every: int = Field(default=100, ge=1)
    cache: Path | None = None
    data_note: str = ""
    licence: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> TrainConfig:
        if self.clusters is not None and not 2 <= self.clusters[0] <= self.clusters[1]:
            raise ValueError("clusters: two numbers are expected, from 2, the smaller first")
        return self

    @property
    def work(self) -> Path:
        """Folder of the run's state, log and best checkpoint so far."""
        return self.output.with_name(self.output.name + ".training")

    @property
    def rate(self) -> float:
        """Learning rate of the Transformer or its adapters."""
        return self.transformer_rate or (2e-4 if self.adapter_rank else 5e-5)

    def fingerprint(self, task: TaskSpec) -> str:
        """Return a hash of all that decides the result: settings, contents of files, the labels.

        Args:
            task: The task that `task` names; what its labels depend on counts.
        """
        settings = self.model_dump_json(exclude=NOT_THE_RESULT | FILES)
        strategies = [(aspect.name, aspect.strategies) for aspect in task.aspects]
        weights = [encoder_sha256(name) for name in (self.encoder, self.transformer)]
        digest = hashlib.sha256(settings.encode())
        digest.update(json.dumps([strategies, task.passive_strategies, weights]).encode())
        for file in (self.train, self.valid):
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()
