"""Training the ranker end to end (paper, "Training"): from annotated JSONL to a checkpoint.

The evidence is fitted first; then progression modules, MLP, score and Transformer (by low-rank
adapters or in full) are trained together. A run keeps its state in `<output>.training/`; killed and
started again it resumes, to the same result. `<output>/` appears when the run has ended.

The loop is own code, on accelerate: with transformers' Trainer, counting the start (the evidence
alone) as an epoch, resuming to the same result and planning batches by length would each need an
override, more code than the loop.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import nn

from langgraph_cooper.prompts.extras import install
from langgraph_cooper.prompts.loader import load_task
from langgraph_cooper.ranker.data.labels import Encode
from langgraph_cooper.ranker.evaluation.metrics import measure
from langgraph_cooper.ranker.model.ranker import CooperRanker
from langgraph_cooper.ranker.model.transformer import Transformer, load_transformer
from langgraph_cooper.ranker.trained import computes_bfloat16
from langgraph_cooper.ranker.training.config import TrainConfig, TrainingError
from langgraph_cooper.ranker.training.embedding_cache import caching_encoder
from langgraph_cooper.ranker.training.examples import Examples, plan_batches
from langgraph_cooper.ranker.training.losses import total_loss
from langgraph_cooper.ranker.training.model_card import SHOWN, write_model_card
from langgraph_cooper.ranker.training.optimizer import new_optimizer
from langgraph_cooper.ranker.training.run_folder import Progress, Record, RunFolder, write_log
from langgraph_cooper.ranker.training.scorer import TurnScorer, TurnScores, batched, score_examples
from langgraph_cooper.ranker.training.setup import Setup, prepare

if TYPE_CHECKING:
    from accelerate import Accelerator  # type: ignore[import-untyped,unused-ignore]

_log = logging.getLogger(__name__)

OnStep: TypeAlias = Callable[[int], None]
"""Called after each step, with the number of steps done."""


def train(
    config: TrainConfig,
    *,
    transformer: Transformer | None = None,
    encode: Encode | None = None,
    on_step: OnStep | None = None,
) -> Path:
    """Train a ranker and save the best epoch (hit@3 on valid, then nDCG@5).

    If no epoch reaches the hit@3 of the evidence alone, that is saved.

    Args:
        config: The run.
        transformer: Used instead of the one that the configuration names.
        encode: Used instead of the encoder that the configuration names.
        on_step: Called after every step; an exception from it ends the run as a kill would.

    Returns:
        The checkpoint's folder, with `README.md` (the model card) and `training_log.jsonl`.

    Raises:
        TrainingError: The output exists, the saved state is damaged or another run's, a dialogue
            is in both files, or a disk is full.
        DataError: The data cannot be trained on.
    """
    if config.output.exists():
        raise TrainingError(f"{config.output} already exists: choose another output or remove it")
    accelerator = _accelerator(config)
    run = _Run.start(config, accelerator, transformer, encode)
    run.loop(on_step)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        run.finish()
    accelerator.wait_for_everyone()
    return config.output


def _accelerator(config: TrainConfig) -> Accelerator:
    try:
        import peft  # noqa: F401  (fails here, before the long work)
        from accelerate import Accelerator
        from accelerate.utils import (  # type: ignore[import-untyped,unused-ignore]
            GradientAccumulationPlugin,
        )
    except ImportError:
        raise TrainingError(f"training needs peft and accelerate: {install('train')}") from None
    if config.device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("there is no CUDA device: train with device 'auto' or 'cpu'")
    # Explicit, so that the environment and `accelerate config` do not decide: the scorer sets the
    # precision, and gradients are not accumulated.
    return Accelerator(
        cpu=config.device == "cpu" or not torch.cuda.is_available(),
        mixed_precision="no",
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
    )


@dataclass
class _Run:
    """One training run: its parts and its loop."""

    config: TrainConfig
    accelerator: Accelerator
    folder: RunFolder
    setup: Setup
    scorer: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LambdaLR
    progress: Progress = field(default_factory=Progress)

    @classmethod
    def start(
        cls,
        config: TrainConfig,
        accelerator: Accelerator,
        transformer: Transformer | None,
        encode: Encode | None,
    ) -> _Run:
        """Set up a run, or resume one that was stopped."""
        bfloat16 = _bfloat16(config, accelerator)
        device = accelerator.device.type
        task = load_task(config.task)
        folder = RunFolder(config.work, f"{config.fingerprint(task)} {bfloat16} {device}")
        fitted = folder.load_fitted()
        sha256 = None
        if encode is None:
            cache = config.cache or config.work / "embeddings"
            encode, sha256 = caching_encoder(config.encoder, cache, bfloat16=bfloat16)
        torch.manual_seed(config.seed)
        parts = transformer or load_transformer(config.transformer)
        setup = prepare(config, task, parts, encode, sha256, fitted)
        steps = -(-len(setup.train) // config.turns_per_batch) * config.epochs
        optimizer, schedule = new_optimizer(setup.ranker, config, steps)
        run = cls(
            config=config,
            accelerator=accelerator,
            folder=folder,
            setup=setup,
            scorer=accelerator.prepare(TurnScorer(setup.ranker, bfloat16=bfloat16)),
            optimizer=optimizer,
            schedule=schedule,
        )
        if fitted is None:
            run._save_fitted()
        run._resume()
        _log.info("training on %d turns, %d steps", len(setup.train), steps)
        return run

    def _save_fitted(self) -> None:
        """Save the fitted parts, and the evidence alone as the best ranker so far."""
        if self.setup.alone is not None:
            self._save_best(-1, self.setup.alone)
        if self.accelerator.is_main_process:
            self.folder.save_fitted(self.setup.fitted)

    def _resume(self) -> None:
        """Load the saved state, if there is one."""
        alone = self.setup.alone
        if alone is not None:
            # An epoch with the same hit@3 is preferred to the evidence alone.
            self.progress.best = (alone["hit@3"], 0.0)
            self.progress.log = [_valid_record(0, -1, alone, best=True)]
        found = self.folder.load_state()
        if found is None:
            return
        self.progress, trained = found
        _log.info("going on from step %d in %s", self.progress.step, self.folder.folder)
        self.ranker.load_state_dict(trained["weights"], strict=False)
        self.optimizer.load_state_dict(trained["optimizer"])
        self.schedule.last_epoch = trained["schedule"]

    @property
    def ranker(self) -> CooperRanker:
        """The ranker inside accelerate's wrapper."""
        scorer = self.accelerator.unwrap_model(self.scorer)
        ranker: CooperRanker = scorer.ranker
        return ranker

    @property
    def device(self) -> torch.device:
        """The device of the computation."""
        device: torch.device = self.accelerator.device
        return device

    # -- the loop ---------------------------------------------------------------------------------

    def loop(self, on_step: OnStep | None) -> None:
        """Train from the current step to the last epoch, or until patience ends."""
        lengths = self.setup.train.lengths()
        size = self.config.turns_per_batch
        per_epoch = -(-len(lengths) // size)
        with _bar(per_epoch * self.config.epochs, self.progress.step) as advance:
            for epoch in range(self.progress.step // per_epoch, self.config.epochs):
                if self._stalled(epoch):
                    break
                order = np.random.default_rng([self.config.seed, epoch])
                batches = plan_batches(lengths, size, order)
                for rows in batches[self.progress.step - epoch * per_epoch :]:
                    self._step(rows, epoch)
                    last = self.progress.step == (epoch + 1) * per_epoch
                    if last:
                        self._end_epoch(epoch)
                    if last or self.progress.step % self.config.save_every == 0:
                        self._save_state()
                    advance(self.progress.step, self.progress.log[-1])
                    if on_step is not None:
                        on_step(self.progress.step)

    def _stalled(self, epoch: int) -> bool:
        patience = self.config.patience
        return patience is not None and epoch - self.progress.best_epoch > patience

    def _step(self, rows: Sequence[int], epoch: int) -> None:
        """Take one optimiser step on the turns at `rows`."""
        self.scorer.train()
        begin = time.monotonic()
        self._seed()
        # A device without a share repeats the first turn: if it skipped the backward pass, the
        # others would wait for it.
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        share = rows[rank::world]
        tokens, turns = batched(self.ranker, self.setup.train, share or rows[:1], self.device)
        loss, parts = total_loss(self.config.objective, self.scorer(tokens, turns), turns)
        self.optimizer.zero_grad(set_to_none=True)
        # Gradients are averaged over devices, and losses over a share: each turn counts the same.
        self.accelerator.backward(loss * (len(share) * world / len(rows)))
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = float(self.accelerator.clip_grad_norm_(parameters, self.config.clip))
        rate = self.optimizer.param_groups[0]["lr"]
        if not np.isfinite(norm):
            raise TrainingError(
                f"the gradient of step {self.progress.step + 1} is not finite: "
                "lower the learning rates or train in float32"
            )
        self.optimizer.step()
        self.schedule.step()
        self.progress.step += 1
        self._log(
            kind="step",
            step=self.progress.step,
            epoch=epoch,
            loss=float(loss.detach()),
            **parts,
            gradient=norm,
            lr=rate,
            turns_per_second=round(len(rows) / (time.monotonic() - begin), 2),
        )

    def _seed(self) -> None:
        """Seed dropout by step and device, so that a resumed run needs no generator's state."""
        drawn = [self.config.seed, self.progress.step, self.accelerator.process_index]
        torch.manual_seed(int(np.random.SeedSequence(drawn).generate_state(1)[0]))

    def _end_epoch(self, epoch: int) -> None:
        """Measure on valid, and save the ranker if it is the best so far."""
        valid = self.setup.valid
        figures = measure(valid.turns, self.score(valid)).means()
        merit = (figures["hit@3"], figures["ndcg@5"])
        better = merit > self.progress.best
        if better:
            self.progress.best, self.progress.best_epoch = merit, epoch
            self._save_best(epoch, figures)
        self._log(**_valid_record(self.progress.step, epoch, figures, best=better))

    def _save_best(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Save the ranker as the best so far."""
        self.setup.calibrate()
        if not self.accelerator.is_main_process:
            return
        metadata = {"seed": self.config.seed, "epoch": epoch + 1, "valid": dict(figures)}
        self.ranker.config = self.ranker.config.model_copy(update={"metadata": metadata})
        with self.folder.writing():
            self.ranker.save_pretrained(self.folder.best)

    def score(self, examples: Examples) -> list[TurnScores]:
        """Score [n] the candidates of every turn, in evaluation mode."""
        scorer = self.accelerator.unwrap_model(self.scorer)
        return score_examples(scorer, examples, self.device, self.config.turns_per_batch)

    def _log(self, **record: Any) -> None:
        self.progress.log.append(record)

    # -- state ------------------------------------------------------------------------------------

    def _save_state(self) -> None:
        """Save the state that a resumed run needs beside the fitted parts."""
        if not self.accelerator.is_main_process:
            return
        weights = {
            n: p.detach().cpu() for n, p in self.ranker.named_parameters() if p.requires_grad
        }
        trained = {
            "weights": weights,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.last_epoch,
        }
        self.folder.save_state(self.progress, trained)

    def finish(self) -> None:
        """Complete the best checkpoint and make it the output."""
        best, train, valid = self.folder.best, self.setup.train, self.setup.valid
        with self.folder.writing():
            write_log(best / "training_log.jsonl", self.progress.log)
            self.setup.prior.save(best)
            write_model_card(
                best / "README.md",
                ranker=self.ranker.config,
                config=self.config,
                sizes={
                    "train": (train.dialogues, len(train), train.skipped),
                    "valid": (valid.dialogues, len(valid), valid.skipped),
                },
                log=self.progress.log,
                clusters={
                    t.aspect: (len(t.texts), max(t.silhouette.values())) for t in self.setup.targets
                },
            )
        self.folder.finish(self.config.output)


def _valid_record(step: int, epoch: int, figures: Mapping[str, float], *, best: bool) -> Record:
    """Return the log's line of figures on valid; epoch -1 is the evidence alone."""
    shown = {name: figures[name] for name in SHOWN}
    return {"kind": "valid", "step": step, "epoch": epoch, "best": best, **shown}


def _bfloat16(config: TrainConfig, accelerator: Accelerator) -> bool:
    if config.precision != "auto":
        return config.precision == "bfloat16"
    if accelerator.device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return computes_bfloat16()


@contextlib.contextmanager
def _bar(total: int, done: int) -> Iterator[Callable[[int, Record], None]]:
    """Show a progress bar on standard error, if that is a terminal; yield its update."""
    if not sys.stderr.isatty():
        yield lambda step, record: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("training", total=total, completed=done)

        def advance(step: int, record: Record) -> None:
            last = record.get("loss")
            text = f"training, loss {last:.3f}" if last is not None else "training"
            bar.update(task, completed=step, description=text)

        yield advance
