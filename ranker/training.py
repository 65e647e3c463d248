"""Training the ranker end to end (paper, "Training"): from annotated JSONL to a checkpoint.

What the texts' embeddings tell is fitted first; then progression modules, MLP, score and
Transformer (by low-rank adapters or in full) learn together. A run keeps its state in
`<output>.training/`; killed and started again it goes on where it was, to the same result.
`<output>/` appears when the run has ended.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
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
from langgraph_cooper.ranker.annotated import read_annotated
from langgraph_cooper.ranker.assembly import new_ranker, parameter_groups, target_states
from langgraph_cooper.ranker.checkpoint import check_aspects, checkpoint_folder, read_config
from langgraph_cooper.ranker.encoder import load_encoder
from langgraph_cooper.ranker.examples import (
    DiskCache,
    Examples,
    Memo,
    collate,
    make_examples,
    plan_batches,
)
from langgraph_cooper.ranker.fitting import evidence_scores, fit_evidence, take_evidence
from langgraph_cooper.ranker.labels import Encode
from langgraph_cooper.ranker.metrics import measure
from langgraph_cooper.ranker.model import CooperRanker, Transformer, load_transformer
from langgraph_cooper.ranker.model_card import write_model_card
from langgraph_cooper.ranker.objective import total_loss
from langgraph_cooper.ranker.packing import TurnTokenizer
from langgraph_cooper.ranker.prior import RankingPrior, ranking_prior
from langgraph_cooper.ranker.scorer import Scores, TurnScorer, score_examples
from langgraph_cooper.ranker.targets import TargetStates
from langgraph_cooper.ranker.train_config import TrainConfig, TrainingError
from langgraph_cooper.ranker.trained import computes_bfloat16

if TYPE_CHECKING:
    from accelerate import Accelerator  # type: ignore[import-untyped,unused-ignore]

_log = logging.getLogger(__name__)

SHOWN = ("hit@1", "hit@3", "precision@1", "precision@3", "ndcg@5")
"""The figures on valid that the log and the model card show."""

Record: TypeAlias = dict[str, Any]
"""One line of the log."""

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

    Args:
        config: The run.
        transformer: Instead of the one that the configuration names.
        encode: Instead of the encoder that the configuration names.
        on_step: Called after every step; an exception that it raises ends the run as a kill would.

    Returns:
        The checkpoint's folder, with `README.md` (the model card) and `training_log.jsonl` in it.

    Raises:
        TrainingError: The output exists, the saved state is another run's, or a disk is full.
        DataError: The data cannot be trained on.
    """
    if config.output.exists():
        raise TrainingError(f"{config.output} already exists: choose another output or remove it")
    accelerator = _accelerator(config)
    with _writable(config.work):
        config.work.mkdir(parents=True, exist_ok=True)
    run = _Run.prepare(config, accelerator, transformer, encode)
    with _writable(config.work):
        run.resume()
        run.loop(on_step)
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            run.finish()
        accelerator.wait_for_everyone()
    return config.output


@contextlib.contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """Turns a full or read-only disk into one sentence."""
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"{folder} cannot be written ({error.strerror or error}): make room there and start "
            "the same command again; it goes on from the last saved state"
        ) from error


def _accelerator(config: TrainConfig) -> Accelerator:
    try:
        from accelerate import Accelerator
    except ImportError:
        raise TrainingError(
            "training needs the extra: pip install 'langgraph-cooper[train]'"
        ) from None
    if config.device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("there is no CUDA device: train with device 'auto' or 'cpu'")
    return Accelerator(cpu=config.device == "cpu" or not torch.cuda.is_available())


@dataclass
class _Progress:
    """Where a run stands; all of it is in the saved state."""

    step: int = 0
    best: tuple[float, float] = (-1.0, -1.0)
    best_epoch: int = -1
    log: list[Record] = field(default_factory=list)


@dataclass
class _Run:
    """One training run: what it is made of, and its loop."""

    config: TrainConfig
    accelerator: Accelerator
    train: Examples
    valid: Examples
    scorer: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LambdaLR
    targets: list[TargetStates]
    prior: RankingPrior
    fingerprint: str
    progress: _Progress = field(default_factory=_Progress)
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def prepare(
        cls,
        config: TrainConfig,
        accelerator: Accelerator,
        transformer: Transformer | None,
        encode: Encode | None,
    ) -> _Run:
        """Reads and embeds the data, finds target states, builds the ranker."""
        task = load_task(config.task)
        if config.evidence_from is not None:  # before long work, not after
            folder = checkpoint_folder(config.evidence_from)
            check_aspects(read_config(folder), task.aspect_names, folder)
        encode, sha256 = _encoder(config, encode, bfloat16=_bfloat16(config, accelerator))
        _log.info("labelling and embedding %s and %s", config.train.name, config.valid.name)
        train_set, valid_set = read_annotated(config.train), read_annotated(config.valid)
        torch.manual_seed(config.seed)
        parts = transformer or load_transformer(config.transformer)
        tokenizer = TurnTokenizer(
            parts.tokenizer, history_tokens=config.history_tokens, topic_tokens=config.topic_tokens
        )
        examples = make_examples(train_set, task, encode, tokenizer)
        examples = examples.of(_chosen(len(examples), config))
        valid = make_examples(valid_set, task, encode, tokenizer)
        _log.info("clustering the final states of %d conversations", len(train_set))
        targets = target_states(train_set, task, encode, config)
        ranker = new_ranker(config, task, targets, parts, sha256)
        log: list[Record] = []
        if ranker.evidence is not None:
            _log.info("fitting what the texts' embeddings tell")
            if config.evidence_from is not None:
                examples = take_evidence(ranker, examples, config.evidence_from)
            else:
                examples = fit_evidence(ranker, examples, config.objective, config.seed)
            valid = valid.expecting(ranker.evidence.expectation)
            alone = measure(valid.turns, evidence_scores(ranker, valid)).means()
            log.append(_valid_record(0, -1, alone, best=False))
        scorer = TurnScorer(ranker, bfloat16=_bfloat16(config, accelerator))
        optimizer = torch.optim.AdamW(parameter_groups(ranker, config))
        steps = -(-len(examples) // config.turns_per_batch) * config.epochs
        run = cls(
            config=config,
            accelerator=accelerator,
            train=examples,
            valid=valid,
            scorer=accelerator.prepare(scorer),
            optimizer=optimizer,
            schedule=torch.optim.lr_scheduler.LambdaLR(optimizer, _linear(steps, config.warmup)),
            targets=targets,
            prior=ranking_prior(train_set, valid_set, task, encode),
            fingerprint=config.fingerprint,
            progress=_Progress(log=log),
        )
        _log.info("training on %d turns, %d steps", len(examples), steps)
        return run

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
        lengths = self.train.lengths()
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
        # Every device takes its share; one that would go without repeats the first turn, since a
        # device that skips a backward pass would keep the others waiting.
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        share = rows[rank::world] or rows[:1]
        batch = collate(self.train, share).to(self.device)
        tokens = self.ranker.tokens([self.train.tokens[row] for row in share]).to(self.device)
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

    def _end_epoch(self, epoch: int) -> None:
        """Measures on valid and keeps the ranker if it is the best so far."""
        figures = measure(self.valid.turns, self.score(self.valid)).means()
        merit = (figures["hit@3"], figures["ndcg@5"])
        better = merit > self.progress.best
        if better:
            self.progress.best, self.progress.best_epoch = merit, epoch
        self._log(**_valid_record(self.progress.step, epoch, figures, best=better))
        if better and self.accelerator.is_main_process:
            metadata = {"seed": self.config.seed, "epoch": epoch + 1, "valid": figures}
            self.ranker.config = self.ranker.config.model_copy(update={"metadata": metadata})
            self.ranker.save_pretrained(self.config.work / "best")

    def score(self, examples: Examples) -> list[Scores]:
        """Scores [n] of every turn, in evaluation mode."""
        scorer = self.accelerator.unwrap_model(self.scorer)
        return score_examples(scorer, examples, self.device, self.config.turns_per_batch)

    def _log(self, **record: Any) -> None:
        self.progress.log.append(record)

    # -- state ------------------------------------------------------------------------------------

    @property
    def _state_file(self) -> Path:
        return self.config.work / "state.pt"

    def _save_state(self) -> None:
        """Writes all that a later start needs, all or nothing."""
        if not self.accelerator.is_main_process:
            return
        trained = {
            n: p.detach().cpu() for n, p in self.ranker.named_parameters() if p.requires_grad
        }
        state = {
            "fingerprint": self.fingerprint,
            "step": self.progress.step,
            "best": list(self.progress.best),
            "best_epoch": self.progress.best_epoch,
            "log": json.dumps(self.progress.log),
            "weights": trained,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict()["last_epoch"],
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        # Written in memory first: torch tells of a full disk with a RuntimeError.
        written = io.BytesIO()
        torch.save(state, written)
        part = self._state_file.with_suffix(".part")
        with part.open("wb") as stream:
            stream.write(written.getbuffer())
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(self._state_file)
        _write_log(self.config.work / "log.jsonl", self.progress.log)

    def resume(self) -> None:
        """Goes back to the saved state, if there is one.

        Raises:
            TrainingError: It is damaged or belongs to another configuration or other data.
        """
        if not self._state_file.exists():
            return
        _log.info("going on from %s", self._state_file)
        try:
            state = torch.load(self._state_file, map_location="cpu", weights_only=True)
            same = state["fingerprint"] == self.fingerprint
        except Exception:  # a damaged file fails in many ways inside torch
            raise TrainingError(
                f"{self._state_file} is damaged: remove {self.config.work} to start anew"
            ) from None
        if not same:
            raise TrainingError(
                f"{self.config.work} belongs to a run with other settings or data: remove it to "
                "start anew, or choose another output"
            )
        self.ranker.load_state_dict(state["weights"], strict=False)
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.last_epoch = state["schedule"]
        torch.set_rng_state(state["random"])
        if torch.cuda.is_available() and state["random_cuda"]:
            torch.cuda.set_rng_state_all(state["random_cuda"])
        self.progress = _Progress(
            state["step"], tuple(state["best"]), state["best_epoch"], json.loads(state["log"])
        )

    def finish(self) -> None:
        """Turns the best checkpoint so far into the output."""
        best = self.config.work / "best"
        _write_log(best / "training_log.jsonl", self.progress.log)
        self.prior.save(best)
        write_model_card(
            best / "README.md",
            ranker=self.ranker.config,
            config=self.config.model_dump(mode="json"),
            sizes={
                "train": (self.train.dialogues, len(self.train), self.train.skipped),
                "valid": (self.valid.dialogues, len(self.valid), self.valid.skipped),
            },
            log=self.progress.log,
            clusters={t.aspect: (len(t.texts), max(t.silhouette.values())) for t in self.targets},
        )
        # The run's folder lies beside the output, so that this is one step: all or nothing.
        best.replace(self.config.output)
        self._state_file.unlink(missing_ok=True)


def _valid_record(step: int, epoch: int, figures: Mapping[str, float], *, best: bool) -> Record:
    """A log's line of figures on valid; epoch -1 is the evidence alone."""
    shown = {name: figures[name] for name in SHOWN}
    return {"kind": "valid", "step": step, "epoch": epoch, "best": best, **shown}


def _encoder(
    config: TrainConfig, encode: Encode | None, *, bfloat16: bool
) -> tuple[Encode, str | None]:
    """The encoder behind a cache on the disk, and its weights' hash."""
    if encode is not None:
        return encode, None
    encoder = load_encoder(config.encoder, bfloat16=bfloat16)
    folder = config.cache or config.work / "embeddings"
    identity = f"{config.encoder} {encoder.sha256}{' bfloat16' if bfloat16 else ''}"
    return Memo(DiskCache(encoder.encode, folder, identity)), encoder.sha256


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
        return bool(torch.cuda.is_bf16_supported())
    return computes_bfloat16()


def _chosen(count: int, config: TrainConfig) -> list[int]:
    """The rows of the turns that are trained on, in order."""
    if config.max_turns is None or config.max_turns >= count:
        return list(range(count))
    drawn = np.random.default_rng(config.seed).choice(count, config.max_turns, replace=False)
    return [int(row) for row in np.sort(drawn)]


def _write_log(file: Path, log: Sequence[Record]) -> None:
    file.write_text("".join(json.dumps(record) + "\n" for record in log), encoding="utf-8")


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
