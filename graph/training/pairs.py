"""Trains a model that reads pairs to tell how likely something holds of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from langgraph_cooper.graph.training.adapting import Batches, train_adapters
from langgraph_cooper.nodes.pairs.form import Pair
from langgraph_cooper.nodes.pairs.model import Form, PairModel
from langgraph_cooper.ranker.training.adapters import add_adapters

RATE = 1e-3
SMOOTHING = 0.02  # targets lie between .02 and .98: some labels are wrong


class Example(NamedTuple):
    """A pair to learn from."""

    pair: Pair
    target: float
    """1 if it holds, 0 if it does not, .5 where that is open."""
    weight: float = 1.0


class _Learner(nn.Module):
    """The model with its loss, as `Trainer` wants it."""

    def __init__(self, model: PairModel[Form]) -> None:
        super().__init__()
        self.model = model

    def inputs(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        return {
            **self.model.inputs([each.pair for each in examples]),
            "target": torch.tensor([each.target for each in examples]),
            "weight": torch.tensor([each.weight for each in examples]),
        }

    def forward(self, target: Tensor, weight: Tensor, **given: Tensor) -> Any:
        odds = self.model(**given).float()[:, 0]
        smooth = target.float() * (1 - 2 * SMOOTHING) + SMOOTHING
        loss = functional.binary_cross_entropy_with_logits(odds, smooth, reduction="none")
        return {"loss": (loss * weight).mean(), "odds": odds}


def train_pair_model(
    form: Form,
    examples: Sequence[Example],
    run: Path,
    *,
    seed: int = 1,
    epochs: float = 2.0,
    rate: float = RATE,
) -> PairModel[Form]:
    """Train a model with one output. The same call goes on where an earlier one was stopped.

    Args:
        form: Its form.
        examples: To learn from.
        run: Folder of the unfinished run, saved every few minutes.
        seed: Of everything random.
        epochs: Passes over the examples.
        rate: Largest learning rate.

    Returns:
        The model with its adapters, not merged.
    """
    torch.manual_seed(seed)
    model = PairModel(form, 1)
    add_adapters(model.encoder, form.adapters)
    learner = _Learner(model)
    batches = Batches(examples, lambda each: len(each.pair.first) + len(each.pair.second), seed)
    train_adapters(learner, batches, learner.inputs, run, seed=seed, epochs=epochs, rate=rate)
    return model.eval()
