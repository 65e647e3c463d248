"""Trains the model that reads what users decide, and reads with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from langgraph_cooper.graph.training.adapting import Batches, train_adapters
from langgraph_cooper.graph.training.labelled import Labelled
from langgraph_cooper.nodes.pairs.form import Floats
from langgraph_cooper.nodes.pairs.model import PairModel, PairReader
from langgraph_cooper.nodes.subjects.decider import LABELS, DeciderForm
from langgraph_cooper.ranker.training.adapters import add_adapters

EPOCHS, RATE = 3.0, 1e-3
SMOOTHING = 0.05  # of the labels: readers do not agree on all of them


class _Learner(nn.Module):
    """The model with its loss, as `Trainer` wants it."""

    def __init__(self, model: PairModel[DeciderForm]) -> None:
        super().__init__()
        self.model = model

    def inputs(self, decided: Sequence[Labelled]) -> dict[str, Tensor]:
        given = self.model.inputs([each.pair for each in decided])
        return {**given, "label": torch.tensor([LABELS.index(each.label) for each in decided])}

    def forward(self, label: Tensor, **given: Tensor) -> Any:
        odds = self.model(**given).float()
        loss = functional.cross_entropy(odds, label, label_smoothing=SMOOTHING)
        return {"loss": loss, "odds": odds}


def train_decider(
    decided: Sequence[Labelled],
    run: Path,
    *,
    seed: int = 1,
    epochs: float = EPOCHS,
    rate: float = RATE,
) -> PairModel[DeciderForm]:
    """Train a model. The same call goes on where an earlier one was stopped.

    Args:
        decided: Labelled answers to learn from.
        run: Folder of the unfinished run, saved every few minutes.
        seed: Of everything random.
        epochs: Passes over the answers.
        rate: Largest learning rate.

    Returns:
        The model with its adapters, not merged.
    """
    torch.manual_seed(seed)
    model = PairModel(DeciderForm(), len(LABELS))
    add_adapters(model.encoder, model.form.adapters)
    learner = _Learner(model)
    batches = Batches(decided, lambda each: len(each.before) + len(each.said), seed)
    train_adapters(learner, batches, learner.inputs, run, seed=seed, epochs=epochs, rate=rate)
    return model.eval()


def likeliest(reader: PairReader[DeciderForm], decided: Sequence[Labelled]) -> list[str]:
    """Return the likeliest label of each answer."""
    odds: list[Floats] = [reader.read([each.pair])[0] for each in decided]
    return [LABELS[int(each.argmax())] for each in odds]
