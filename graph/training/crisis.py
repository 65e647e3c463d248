"""Trains the guard's classifier of crises on lines by many writers and on real conversations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from langgraph_cooper.graph.training.adapting import Batches, train_adapters, write_weights
from langgraph_cooper.graph.training.lines import Example, Line
from langgraph_cooper.nodes.crisis.classifier import (
    CONFIG,
    WEIGHTS,
    ClassifierConfig,
    CrisisModel,
    crisis_kinds,
)
from langgraph_cooper.ranker.model.config import DEFAULT_ENCODER, AdapterConfig
from langgraph_cooper.ranker.model.encoder import encoder_sha256
from langgraph_cooper.ranker.training.adapters import add_adapters

SMOOTHING = 0.02  # labels are .02 and .98: some lines are labelled wrongly
CERTAIN_TRAPS, CERTAIN_ORDINARY, CONCERN_ORDINARY = 0.005, 0.003, 0.027
"""Largest shares of harmless messages over the thresholds: somewhat below the aims in
docs/safety-measured.md, since other writers differ."""
CERTAIN_EVERYDAY, CONCERN_EVERYDAY = 0.01, 0.06
"""The same limits for everyday messages, written since a guard took such ones for hints."""
KIND_WEIGHT = 0.2  # of the loss of the kinds
ADAPTED = 6
"""Last layers of the encoder that get adapters: all of the default's. Of a larger one the lower
half stays as it is, which takes two thirds of the time."""
TARGETS = ("query", "key", "value", "q", "k", "v", "o", "dense")  # BERT's names and MPNet's


class _Learner(nn.Module):
    """The model with its loss, as `Trainer` wants it."""

    def __init__(self, model: CrisisModel) -> None:
        super().__init__()
        self.model = model

    def inputs(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        kinds = self.model.config.kinds
        return {
            **self.model.inputs([example.text for example in examples]),
            "crisis": torch.tensor([example.crisis for example in examples]),
            "kind": torch.tensor([kinds.index(e.kind) if e.kind else -1 for e in examples]),
            "weight": torch.tensor([example.weight for example in examples]),
        }

    def forward(self, crisis: Tensor, kind: Tensor, weight: Tensor, **given: Tensor) -> Any:
        odds = self.model(**given).float()
        target = crisis.float() * (1 - 2 * SMOOTHING) + SMOOTHING
        loss = functional.binary_cross_entropy_with_logits(odds[:, 0], target, reduction="none")
        loss = (loss * weight).mean()
        if (kind >= 0).any():
            loss = loss + KIND_WEIGHT * functional.cross_entropy(odds[:, 1:], kind, ignore_index=-1)
        return {"loss": loss, "odds": odds}


def train_classifier(
    examples: Sequence[Example],
    run: Path,
    *,
    encoder: str = DEFAULT_ENCODER,
    seed: int = 1,
    epochs: float = 4.0,
    rate: float = 1e-3,
) -> CrisisModel:
    """Train a classifier. The same call goes on where an earlier one was stopped.

    Args:
        examples: Messages to learn from.
        run: Folder of the unfinished run, saved every few minutes.
        encoder: The default encoder, a hub name or a folder.
        seed: Of everything random.
        epochs: Passes over the examples.
        rate: Largest learning rate of the adapters.

    Returns:
        The model with its adapters, not merged.
    """
    torch.manual_seed(seed)
    model = CrisisModel(ClassifierConfig(encoder=encoder, kinds=crisis_kinds()))
    adapters = _adapters_for(model.encoder)
    model.config = model.config.model_copy(update={"adapters": adapters})
    add_adapters(model.encoder, adapters)
    learner = _Learner(model)
    batches = Batches(examples, lambda each: len(each.text), seed)
    train_adapters(learner, batches, learner.inputs, run, seed=seed, epochs=epochs, rate=rate)
    return model.eval()


def _adapters_for(encoder: nn.Module) -> AdapterConfig:
    layers = int(encoder.config.num_hidden_layers)  # type: ignore[union-attr, arg-type]
    last = tuple(range(layers - ADAPTED, layers)) if layers > ADAPTED else None
    return AdapterConfig(rank=16, alpha=32.0, targets=TARGETS, layers=last)


def odds_of(model: CrisisModel, texts: Sequence[str], size: int = 64) -> list[float]:
    """Return the log-odds of a crisis for each text, cut at the model's length."""
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    odds = [0.0] * len(texts)
    with torch.inference_mode():
        for start in range(0, len(order), size):
            places = order[start : start + size]
            found = model(**model.inputs([texts[place] for place in places]))[:, 0]
            for place, value in zip(places, found.tolist(), strict=True):
                odds[place] = value
    return odds


def write_classifier(
    model: CrisisModel,
    folder: Path,
    *,
    certain: float,
    concern: float,
) -> ClassifierConfig:
    """Write a trained model's adapters and head, in half precision, and its thresholds."""
    config = model.config.model_copy(
        update={
            "certain": certain,
            "concern": concern,
            "encoder_sha256": encoder_sha256(model.config.encoder),
            "weights_sha256": write_weights(model.encoder, model.head, folder / WEIGHTS),
        }
    )
    (folder / CONFIG).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return config


class Thresholds(NamedTuple):
    """Log-odds from which a crisis is certain, and from which it is a concern."""

    certain: float
    concern: float


def choose_thresholds(
    traps: Sequence[float], ordinary: Sequence[Sequence[float]], everyday: Sequence[float] = ()
) -> Thresholds:
    """Choose the lowest thresholds that keep the shares of false alarms.

    Traps do not count for a concern: a question costs little, and lines that were written to tempt
    a guard word for word are rare in life.

    Args:
        traps: Log-odds of harmless lines that tempt a guard, of writers who were left out.
        ordinary: Log-odds of ordinary messages that were left out, of one kind each, by the model
            that will be used: one that learnt from fewer writers fires less often.
        everyday: Those of pieces of everyday talk, of a writer who was left out.
    """
    certain = [np.quantile(traps, 1 - CERTAIN_TRAPS)]
    certain += [np.quantile(odds, 1 - CERTAIN_ORDINARY) for odds in ordinary]
    concern = [np.quantile(odds, 1 - CONCERN_ORDINARY) for odds in ordinary]
    if len(everyday):
        certain.append(np.quantile(everyday, 1 - CERTAIN_EVERYDAY))
        concern.append(np.quantile(everyday, 1 - CONCERN_EVERYDAY))
    return Thresholds(float(max(certain)), float(max(concern)))


def leave_writers_out(
    lines: Sequence[Line], learn: Callable[[Sequence[Line], str], CrisisModel], folds: int
) -> list[float]:
    """Train on all writers but some, in turn, and read the lines of those.

    Args:
        lines: Lines of at least `folds` writers.
        learn: Trains a model on these lines, in a run of this name.
        folds: Number of models.

    Returns:
        [N] the log-odds of each line, by the model that did not see its writer.
    """
    writers = sorted({line.writer for line in lines})
    odds = [0.0] * len(lines)
    for fold in range(folds):
        out = set(writers[fold::folds])
        model = learn([line for line in lines if line.writer not in out], f"fold-{fold}")
        places = [place for place, line in enumerate(lines) if line.writer in out]
        read = odds_of(model, [lines[place].text for place in places])
        for place, value in zip(places, read, strict=True):
            odds[place] = value
    return odds
