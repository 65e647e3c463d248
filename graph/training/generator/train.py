"""Trains a generator's adapters; the same call goes on where an earlier one was stopped."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState  # type: ignore[import-untyped,unused-ignore]
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import (
    EarlyStoppingCallback,
    Trainer,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
)

from langgraph_cooper.graph.training.generator.adapters import (
    Adapters,
    adapter_config,
    adapter_state,
)
from langgraph_cooper.graph.training.generator.learner import (
    CausalLearner,
    Learner,
    Seq2SeqLearner,
)
from langgraph_cooper.graph.training.generator.packing import LearnedDialogue, Pack, packs_of
from langgraph_cooper.graph.training.resuming import STATE, SaveByClock, remove_cut_checkpoints
from langgraph_cooper.nodes.finetuned.base import DEFAULT_BASE, Base, load_base
from langgraph_cooper.nodes.finetuned.errors import VoiceError
from langgraph_cooper.nodes.finetuned.format import Budgets
from langgraph_cooper.ranker.model.lora import adapted_layers
from langgraph_cooper.ranker.training.config import TrainingError

SAVE_MINUTES = 10.0
ADAPTERS, SPENT = "adapters.pt", "spent.json"  # files of a checkpoint


class GeneratorTraining(BaseModel):
    """The settings of a training run.

    Attributes:
        base: The base model, as for `load_base`.
        budgets: Most tokens of each part of the input.
        rank: Rank of the adapters.
        alpha: Their scale is alpha / rank.
        rate: Largest learning rate.
        epochs: Passes over the conversations, at most.
        patience: Epochs without a lower loss on valid after which it stops.
        seed: Of everything random.
        steps: Most packs to learn from; None: all, in every epoch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str = DEFAULT_BASE
    budgets: Budgets = Budgets()
    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32.0, gt=0)
    rate: float = Field(default=5e-4, gt=0)
    epochs: int = Field(default=1, ge=1)
    patience: int = Field(default=1, ge=1)
    seed: int = 1
    steps: int | None = Field(default=None, ge=1)


class _Packs(Dataset[Pack]):
    def __init__(self, packs: Sequence[Pack]) -> None:
        self._packs = packs

    def __len__(self) -> int:
        return len(self._packs)

    def __getitem__(self, place: int) -> Pack:
        return self._packs[place]


class _Trainer(Trainer):
    """Saves the adapters alone, as the base is on the disk already, and what the run has taken."""

    _losses, _steps = 0.0, 0  # sum over the run's steps with a finite loss, and their number
    _began = 0.0  # when it would have begun, had it never been stopped

    def go_on(self, begun: Path | None) -> None:
        """Train, from a checkpoint on if there is one; after the end, load what was found best."""
        self._began = time.monotonic()
        if begun and (begun / SPENT).is_file():
            spent = json.loads((begun / SPENT).read_text(encoding="utf-8"))
            self._began -= spent["seconds"]
            self._losses, self._steps = spent["losses"], spent["steps"]
        state = TrainerState.load_from_json(str(begun / STATE)) if begun else None
        if begun and state and _had_ended(state):
            # Resumed, the Trainer would forget that it stopped early, and learn for longer.
            self.state = state
            best = begun.with_name(Path(state.best_model_checkpoint or begun).name)
            self._load_from_checkpoint(str(best))
        else:
            self.train(resume_from_checkpoint=str(begun) if begun else None)

    @property
    def seconds(self) -> float:
        """Time that the run has taken, over all its starts."""
        return time.monotonic() - self._began

    @property
    def train_loss(self) -> float | None:
        """Mean loss of the run's steps, without those that overflowed; None if all did."""
        return self._losses / self._steps if self._steps else None

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """Learn from a batch; its loss counts in the run's mean."""
        loss = super().training_step(*args, **kwargs)
        value = float(loss)
        if math.isfinite(value):  # as the Trainer's own mean, and JSON has no other number
            self._losses += value
            self._steps += 1
        return loss

    @property
    def _learner(self) -> nn.Module:
        found: Any = self.model
        learner: nn.Module = found
        return learner

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(adapter_state(self._learner), folder / ADAPTERS)
        spent = {"seconds": self.seconds, "losses": self._losses, "steps": self._steps}
        (folder / SPENT).write_text(json.dumps(spent), encoding="utf-8")

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        state = torch.load(Path(resume_from_checkpoint) / ADAPTERS, weights_only=True)
        (model or self._learner).load_state_dict(state, strict=False)

    def prediction_step(self, model: Any, inputs: Any, *_: Any, **__: Any) -> Any:
        """Return the loss alone: packs have no labels that the caller could use."""
        with torch.no_grad(), self.compute_loss_context_manager():
            return model(**self._prepare_inputs(inputs))["loss"].detach(), None, None

    def _load_best_model(self) -> None:
        self._load_from_checkpoint(str(self.state.best_model_checkpoint))


def _had_ended(state: TrainerState) -> bool:
    """Return whether a run was at its end, or had stopped early, when this state was saved."""
    saved: Any = state.stateful_callbacks  # by the name of the class
    return bool(saved.get("TrainerControl", {}).get("args", {}).get("should_training_stop"))


def collate(packs: Sequence[Pack]) -> dict[str, Any]:
    """Hand packs on as they are: a pack is a batch already."""
    return {"packs": list(packs)}


def learner_of(base: Base, adapters: Adapters | None = None) -> Learner:
    """Return the loss of a base of either kind."""
    return (CausalLearner if base.kind == "causal" else Seq2SeqLearner)(base.model, adapters)


def check_trainable(settings: GeneratorTraining) -> None:
    """Check that a base can be trained and used, before the long work.

    Raises:
        VoiceError: It cannot be loaded, has no layers to adapt or too few embeddings, or cannot
            end a text.
    """
    base = load_base(settings.base)
    try:
        adapted_layers(
            base.model, adapter_config(base.kind, rank=settings.rank, alpha=settings.alpha)
        )
    except ValueError:
        raise VoiceError(
            f"the base {settings.base} is a {base.model.config.model_type}, whose layers have "
            f"other names than those that are adapted: choose another base, such as {DEFAULT_BASE}"
        ) from None
    known, needed = base.model.get_input_embeddings().num_embeddings, len(base.tokenizer)
    if needed > known:
        raise VoiceError(
            f"the base {settings.base} has embeddings of {known:,} tokens, and its tokenizer has "
            f"{needed:,}: its files do not belong together; choose another base, such as "
            f"{DEFAULT_BASE}"
        )
    base.format(settings.budgets)


def train_generator(
    train: Sequence[LearnedDialogue],
    valid: Sequence[LearnedDialogue],
    run: Path,
    settings: GeneratorTraining,
) -> tuple[Base, dict[str, Any]]:
    """Train a generator.

    Args:
        train: Conversations to learn from.
        valid: Conversations that choose the epoch; may be empty.
        run: Folder of the unfinished run, saved every few minutes.
        settings: The settings.

    Returns:
        The base with its adapters, and the figures: tokens, seconds and losses.

    Raises:
        VoiceError: The base cannot be loaded.
        TrainingError: There is nothing to learn from.
    """
    AcceleratorState._reset_state(reset_partial_state=True)
    torch.manual_seed(settings.seed)
    base = load_base(settings.base)
    config = adapter_config(base.kind, rank=settings.rank, alpha=settings.alpha)
    adapters = Adapters(base.model, config)
    form = base.format(settings.budgets)
    packs = [pack for dialogue in train for pack in packs_of(dialogue, form)]
    if not packs:
        raise TrainingError(
            "no turn can be learnt from: all have the strategy Self-disclosure, or no candidates"
        )
    held = [pack for dialogue in valid for pack in packs_of(dialogue, form)]
    learner = learner_of(base, adapters)
    evaluated = "epoch" if held else "no"
    arguments = TrainingArguments(
        output_dir=str(run), num_train_epochs=settings.epochs, per_device_train_batch_size=1,
        per_device_eval_batch_size=1, learning_rate=settings.rate, warmup_steps=0.05,
        lr_scheduler_type="linear", weight_decay=0.0, max_grad_norm=1.0, bf16=True,
        use_cpu=not torch.cuda.is_available(), seed=settings.seed, save_strategy="epoch",
        eval_strategy=evaluated, load_best_model_at_end=bool(held), save_total_limit=2,
        metric_for_best_model="loss", logging_steps=5, remove_unused_columns=False, report_to=[],
        dataloader_pin_memory=False, label_names=[], prediction_loss_only=True,
        max_steps=settings.steps or -1, restore_callback_states_from_checkpoint=True,
    )  # fmt: skip
    callbacks: list[TrainerCallback] = [SaveByClock(SAVE_MINUTES)]
    if held:
        callbacks.append(EarlyStoppingCallback(settings.patience))
    trainer = _Trainer(
        model=learner, args=arguments, train_dataset=_Packs(packs),
        eval_dataset=_Packs(held) if held else None, data_collator=collate, callbacks=callbacks,
    )  # fmt: skip
    with redirect_stdout(sys.stderr):  # where the Trainer's log would stand among results
        trainer.go_on(remove_cut_checkpoints(run))
    AcceleratorState._reset_state(reset_partial_state=True)
    history = trainer.state.log_history
    losses = [loss for entry in history if math.isfinite(loss := entry.get("eval_loss", math.nan))]
    figures = {
        "conversations": len(train),
        "turns": sum(len(dialogue.turns) for dialogue in train),
        "tokens": sum(pack.tokens for pack in packs),
        "epochs": settings.epochs,
        "seconds": round(trainer.seconds),
        "train_loss": _rounded(trainer.train_loss),
        "valid_loss": _rounded(min(losses, default=None)),
    }
    (run / "figures.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return base, figures


def _rounded(loss: float | None) -> float | None:
    return None if loss is None else round(loss, 4)
