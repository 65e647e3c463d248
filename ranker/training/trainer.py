"""Training the ranker end to end (paper, "Training"): from annotated JSONL to a checkpoint.

What the texts' embeddings tell is fitted first; then progression modules, MLP, score and
Transformer (by low-rank adapters or in full) learn together. A run keeps its state in
`<output>.training/`; killed and started again it goes on where it was, to the same result.
`<output>/` appears when the run has ended.
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

from langgraph_cooper.prompts.loader import load_task
from langgraph_cooper.ranker.data.labels import Encode
from langgraph_cooper.ranker.evaluation.metrics import measure
from langgraph_cooper.ranker.model.ranker import CooperRanker
from langgraph_cooper.ranker.model.transformer import Transformer, load_transformer
from langgraph_cooper.ranker.trained import computes_bfloat16
from langgraph_cooper.ranker.training.assembly import parameter_groups
from langgraph_cooper.ranker.training.config import TrainConfig, TrainingError
from langgraph_cooper.ranker.training.examples import Examples, collate, plan_batches
from langgraph_cooper.ranker.training.losses import total_loss
from langgraph_cooper.ranker.training.model_card import write_model_card
from langgraph_cooper.ranker.training.preparation import Prepared, caching_encoder, prepare
from langgraph_cooper.ranker.training.run_folder import Progress, Record, RunFolder, write_log
from langgraph_cooper.ranker.training.scorer import Scores, TurnScorer, score_examples

if TYPE_CHECKING:
    from accelerate import Accelerator  # type: ignore[import-untyped,unused-ignore]

_log = logging.getLogger(__name__)

SHOWN = ("hit@1", "hit@3", "precision@1", "precision@3", "ndcg@5")
"""The figures on valid that the log and the model card show."""

OnStep: TypeAlias = Callable[[int], None]
"""Called with the number of steps done, after each."""


def train(
    config: TrainConfig,
    *,
    transformer: Transformer | None = None,
    encode: Encode | None = None,
    on_step: OnStep | None = None,
) -> Path:
    """Trains a ranker and saves the best epoch (hit@3 on valid, then nDCG@5).

    Where no epoch reaches the hit@3 of the evidence alone, that is what is saved.

    Args:
        config: The run.
        transformer: Instead of the one that the configuration names.
        encode: Instead of the encoder that the configuration names.
        on_step: Called after every step; an exception that it raises ends the run as a kill would.

    Returns:
        The checkpoint's folder, with `README.md` (the model card) and `training_log.jsonl` in it.

    Raises:
        TrainingError: The output exists, the saved state is damaged or another run's, a dialogue
            stands in both files, or a disk is full.
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
        from accelerate import Accelerator
        from accelerate.utils import (  # type: ignore[import-untyped,unused-ignore]
            GradientAccumulationPlugin,
        )
    except ImportError:
        raise TrainingError(
            "training needs the extra: pip install 'langgraph-cooper[train]'"
        ) from None
    if config.device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("there is no CUDA device: train with device 'auto' or 'cpu'")
    # Named, so that the environment and `accelerate config` do not decide: the precision is the
    # scorer's, whose heads stay in float32, and a step is a step.
    return Accelerator(
        cpu=config.device == "cpu" or not torch.cuda.is_available(),
        mixed_precision="no",
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
    )


@dataclass
class _Run:
    """One training run: what it is made of, and its loop."""

    config: TrainConfig
    accelerator: Accelerator
    folder: RunFolder
    prepared: Prepared
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
        """Prepares a run; one that was stopped goes on where it was."""
        bfloat16 = _bfloat16(config, accelerator)
        device = accelerator.device.type
        folder = RunFolder(config.work, f"{config.fingerprint} {bfloat16} {device}")
        fitted = folder.load_fitted()
        sha256 = None
        if encode is None:
            encode, sha256 = caching_encoder(config, bfloat16=bfloat16)
        torch.manual_seed(config.seed)
        parts = transformer or load_transformer(config.transformer)
        prepared = prepare(config, load_task(config.task), parts, encode, sha256, fitted)
        optimizer = torch.optim.AdamW(parameter_groups(prepared.ranker, config))
        steps = -(-len(prepared.train) // config.turns_per_batch) * config.epochs
        run = cls(
            config=config,
            accelerator=accelerator,
            folder=folder,
            prepared=prepared,
            scorer=accelerator.prepare(TurnScorer(prepared.ranker, bfloat16=bfloat16)),
            optimizer=optimizer,
            schedule=torch.optim.lr_scheduler.LambdaLR(optimizer, _linear(steps, config.warmup)),
        )
        if fitted is None:
            run._begin()
        run._go_on()
        _log.info("training on %d turns, %d steps", len(prepared.train), steps)
        return run

    def _begin(self) -> None:
        """Keeps what was fitted; the evidence alone is the best ranker so far."""
        alone = self.prepared.alone
        if alone is not None:
            self._keep(-1, alone)
        if self.accelerator.is_main_process:
            self.folder.save_fitted(self.prepared.fitted)

    def _go_on(self) -> None:
        """Goes back to the saved state, if there is one."""
        alone = self.prepared.alone
        if alone is not None:
            # Of equal hit@3 an epoch is taken: what was learnt is what is asked for.
            self.progress.best = (alone["hit@3"], 0.0)
            self.progress.log = [_valid_record(0, -1, alone, best=True)]
        found = self.folder.load_state()
        if found is None:
            return
        self.progress, learnt = found
        _log.info("going on from step %d in %s", self.progress.step, self.folder.folder)
        self.ranker.load_state_dict(learnt["weights"], strict=False)
        self.optimizer.load_state_dict(learnt["optimizer"])
        self.schedule.last_epoch = learnt["schedule"]

    @property
    def ranker(self) -> CooperRanker:
        """The ranker inside whatever accelerate has put around it."""
        scorer = self.accelerator.unwrap_model(self.scorer)
        ranker: CooperRanker = scorer.ranker
        return ranker

    @property
    def device(self) -> torch.device:
        """Where the computing is done."""
        device: torch.device = self.accelerator.device
        return device

    # -- the loop ---------------------------------------------------------------------------------

    def loop(self, on_step: OnStep | None) -> None:
        """Trains from the current step to the last epoch, or until patience ends."""
        lengths = self.prepared.train.lengths()
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
        """One optimiser step on the turns at `rows`."""
        self.scorer.train()
        begin = time.monotonic()
        self._seed()
        # Every device takes its share; one that would go without repeats the first turn, since a
        # device that skips a backward pass would keep the others waiting.
        train = self.prepared.train
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        share = rows[rank::world] or rows[:1]
        batch = collate(train, share).to(self.device)
        tokens = self.ranker.tokens([train.tokens[row] for row in share]).to(self.device)
        scores = self.scorer(tokens, batch.aspects, batch.states, batch.vectors)
        loss, parts = total_loss(self.config.objective, scores, batch)
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = float(self.accelerator.clip_grad_norm_(trained, self.config.clip))
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
        """Dropout by step and device: a run that goes on needs no generator's state."""
        drawn = [self.config.seed, self.progress.step, self.accelerator.process_index]
        torch.manual_seed(int(np.random.SeedSequence(drawn).generate_state(1)[0]))

    def _end_epoch(self, epoch: int) -> None:
        """Measures on valid and keeps the ranker if it is the best so far."""
        valid = self.prepared.valid
        figures = measure(valid.turns, self.score(valid)).means()
        merit = (figures["hit@3"], figures["ndcg@5"])
        better = merit > self.progress.best
        if better:
            self.progress.best, self.progress.best_epoch = merit, epoch
            self._keep(epoch, figures)
        self._log(**_valid_record(self.progress.step, epoch, figures, best=better))

    def _keep(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Saves the ranker as the best so far."""
        self.prepared.calibrate()
        if not self.accelerator.is_main_process:
            return
        metadata = {"seed": self.config.seed, "epoch": epoch + 1, "valid": dict(figures)}
        self.ranker.config = self.ranker.config.model_copy(update={"metadata": metadata})
        with self.folder.writing():
            self.ranker.save_pretrained(self.folder.best)

    def score(self, examples: Examples) -> list[Scores]:
        """Scores [n] of every turn, in evaluation mode."""
        scorer = self.accelerator.unwrap_model(self.scorer)
        return score_examples(scorer, examples, self.device, self.config.turns_per_batch)

    def _log(self, **record: Any) -> None:
        self.progress.log.append(record)

    # -- state ------------------------------------------------------------------------------------

    def _save_state(self) -> None:
        """Keeps all that a later start needs beside what was fitted."""
        if not self.accelerator.is_main_process:
            return
        trained = {
            n: p.detach().cpu() for n, p in self.ranker.named_parameters() if p.requires_grad
        }
        learnt = {
            "weights": trained,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict()["last_epoch"],
        }
        self.folder.save_state(self.progress, learnt)

    def finish(self) -> None:
        """Turns the best checkpoint so far into the output."""
        best, train, valid = self.folder.best, self.prepared.train, self.prepared.valid
        with self.folder.writing():
            write_log(best / "training_log.jsonl", self.progress.log)
            self.prepared.prior.save(best)
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
                    t.aspect: (len(t.texts), max(t.silhouette.values()))
                    for t in self.prepared.targets
                },
            )
        self.folder.finish(self.config.output)


def _valid_record(step: int, epoch: int, figures: Mapping[str, float], *, best: bool) -> Record:
    """A log's line of figures on valid; epoch -1 is the evidence alone."""
    shown = {name: figures[name] for name in SHOWN}
    return {"kind": "valid", "step": step, "epoch": epoch, "best": best, **shown}


def _linear(steps: int, warmup: float) -> Callable[[int], float]:
    """Rate as a share of its peak: rises over the warm-up, falls linearly to 0 at the end."""
    rising = max(1, round(steps * warmup))

    def share(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return max(0.0, (steps - step) / max(1, steps - rising))

    return share


def _bfloat16(config: TrainConfig, accelerator: Accelerator) -> bool:
    if config.precision != "auto":
        return config.precision == "bfloat16"
    if accelerator.device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return computes_bfloat16()


@contextlib.contextmanager
def _bar(total: int, done: int) -> Iterator[Callable[[int, Record], None]]:
    """A progress bar on standard error, if that is a terminal; gives what moves it on."""
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
