"""Training the ranker end to end (paper, "Training"): from annotated JSONL to a checkpoint.

Progression modules, MLP, score and Transformer (by low-rank adapters or in full) learn together.
A run keeps its state in `<output>.training/`; killed and started again it goes on where it was, to
the same result. `<output>/` appears when the run has ended.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from langgraph_cooper.prompts.errors import CooperError
from langgraph_cooper.prompts.loader import load_task
from langgraph_cooper.prompts.task import TaskSpec
from langgraph_cooper.ranker.affinity import TurnVectors
from langgraph_cooper.ranker.annotated import AnnotatedDialogue, read_annotated
from langgraph_cooper.ranker.config import (
    DEFAULT_ENCODER,
    AdapterConfig,
    Form,
    Fusion,
    RankerConfig,
)
from langgraph_cooper.ranker.encoder import load_encoder
from langgraph_cooper.ranker.examples import (
    DiskCache,
    Examples,
    collate,
    make_examples,
    plan_batches,
)
from langgraph_cooper.ranker.labels import Encode
from langgraph_cooper.ranker.metrics import measure
from langgraph_cooper.ranker.model import CooperRanker, Transformer, load_transformer
from langgraph_cooper.ranker.model_card import write_model_card
from langgraph_cooper.ranker.objective import Objective, total_loss
from langgraph_cooper.ranker.packing import TokenBatch, TurnTokenizer
from langgraph_cooper.ranker.prior import RankingPrior, ranking_prior
from langgraph_cooper.ranker.targets import TargetStates, find_targets
from langgraph_cooper.ranker.trained import computes_bfloat16

if TYPE_CHECKING:
    from accelerate import Accelerator  # type: ignore[import-untyped,unused-ignore]

_log = logging.getLogger(__name__)

ATTENTION_DROPOUT = ("self.dropout", "attn.dropout")
"""How Bert-like models name the dropout of attention weights."""

Record: TypeAlias = dict[str, Any]
"""One line of the log."""

OnStep: TypeAlias = Callable[[int], None]
"""Called with the number of steps done, after each."""


class TrainingError(CooperError):
    """A training run cannot start, go on, or save; names the remedy."""


class TrainConfig(BaseModel):
    """All that decides a training run; the same configuration and files give the same result.

    Attributes:
        task: Name or path of the task.
        train: Annotated JSONL.
        valid: Annotated JSONL, for choosing the epoch.
        output: Folder of the checkpoint.
        encoder: Sentence encoder of states and similarities.
        transformer: Where the ranker's Transformer starts from.
        form: "packed" or "pairwise" (the paper's).
        fusion: "aspect", or "paper" (see `langgraph_cooper.ranker.model.Fusion`).
        progression: False trains the ablation without progression signals.
        rounds: Dialogue rounds that the decision between the aspects tells apart; 0: none. They
            start from P(aspect | round) in the training data. With `fusion="paper"` this and the
            next three mean nothing.
        history_head: Whether that decision reads the history's own [CLS].
        affinity: Whether candidates are compared with what was said, and with the signals, in the
            encoder's own space.
        decision: How much of the decision between the aspects is P(aspect | round, last
            utterances), which is fitted beforehand; see `langgraph_cooper.ranker.decision`.
        adapter_rank: Rank of the low-rank adapters; 0 trains the Transformer in full.
        freeze_layers: The lowest layers of the Transformer stay as they are, without a backward
            pass. With adapters these are the layers without one.
        history_tokens: The history's last tokens that are read.
        topic_tokens: A candidate's first tokens that are read.
        objective: Losses and their weights.
        clusters: Smallest and largest number of target states to try; default N/50 to N/20.
        epochs: At most so many.
        patience: Stop after so many epochs without a better one; None: never.
        turns_per_batch: Turns in a step, over all devices.
        transformer_rate: Learning rate of adapters or Transformer; default 2e-4, in full 5e-5.
        head_rate: Learning rate of progression modules, MLP and score.
        warmup: Share of the steps with a rising rate; it falls linearly afterwards.
        weight_decay: Of weight matrices other than the progression modules' W.
        clip: Largest norm of the gradient.
        dropout: Of the Transformer's trained layers. Their attention has none, which would keep a
            CPU from computing it in one fused step.
        seed: Of everything random.
        max_turns: Train on so many turns, drawn by seed; None: all.
        precision: "auto" takes bfloat16 where the device computes in it.
        device: "auto" (CUDA if there is one), "cpu" or "cuda".
        save_every: Steps between two saved states.
        cache: Folder of computed embeddings; default: beside the run's state.
        data_note: For the model card: what the files hold and how they were annotated.
        licence: For the model card: under what terms the checkpoint may be used.
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
    rounds: int = Field(default=15, ge=0)
    history_head: bool = True
    affinity: bool = True
    decision: float = Field(default=0.7, ge=0, le=1)
    adapter_rank: int = Field(default=16, ge=0)
    freeze_layers: int = Field(default=3, ge=0)
    history_tokens: int = Field(default=128, ge=8)
    topic_tokens: int = Field(default=32, ge=4)
    objective: Objective = Objective()
    clusters: tuple[int, int] | None = None
    epochs: int = Field(default=3, ge=1)
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
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
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


class TurnScorer(nn.Module):
    """`CooperRanker` from states to scores, with only the Transformer in half precision.

    The heads stay in float32: scores that differ in the third digit are different candidates.

    Args:
        ranker: The ranker.
        bfloat16: Run the Transformer in bfloat16.
    """

    def __init__(self, ranker: CooperRanker, *, bfloat16: bool = False) -> None:
        super().__init__()
        self.ranker = ranker
        self.in_bfloat16 = bfloat16

    def train(self, mode: bool = True) -> Self:
        """Sets the mode; layers that do not learn stay in evaluation mode, without dropout."""
        super().train(mode)
        for name, module in self.ranker.transformer.named_modules():
            whole = name == "embeddings" or name.rsplit(".", 1)[-1].isdigit()
            if whole and not any(p.requires_grad for p in module.parameters()):
                module.eval()
        return self

    def forward(
        self, tokens: TokenBatch, aspects: Tensor, states: Tensor, vectors: TurnVectors
    ) -> Tensor:
        """Scores B turns.

        Args:
            tokens: Input of the Transformer.
            aspects: [B, C] int64.
            states: [B, n_T, n_d] state embeddings.
            vectors: Embeddings of the candidates and the last utterances.

        Returns:
            [B, C] float32.
        """
        with torch.autocast(states.device.type, torch.bfloat16, enabled=self.in_bfloat16):
            encoded = self.ranker.encode(tokens)
        return self.ranker.coordinate(
            encoded.float(), aspects, self.ranker.signals(states), vectors
        )


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
        encode, sha256 = _encoder(config, encode, bfloat16=_bfloat16(config, accelerator))
        _log.info("labelling and embedding %s and %s", config.train.name, config.valid.name)
        train_set, valid_set = read_annotated(config.train), read_annotated(config.valid)
        torch.manual_seed(config.seed)
        parts = transformer or load_transformer(config.transformer)
        tokenizer = TurnTokenizer(
            parts.tokenizer, history_tokens=config.history_tokens, topic_tokens=config.topic_tokens
        )
        examples = make_examples(train_set, task, encode, tokenizer)
        _log.info("clustering the final states of %d conversations", len(train_set))
        targets = target_states(train_set, task, encode, config)
        ranker = _ranker(config, task, targets, parts, sha256)
        start_from_prior(ranker, examples)
        if ranker.decision is not None:
            rounds = torch.tensor([turn.round for turn in examples.turns])
            ranker.decision.fit(examples.texts[examples.recent], rounds, examples.promoted)
        scorer = TurnScorer(ranker, bfloat16=_bfloat16(config, accelerator))
        optimizer = torch.optim.AdamW(parameter_groups(ranker, config))
        chosen = _chosen(len(examples), config)
        steps = -(-len(chosen) // config.turns_per_batch) * config.epochs
        run = cls(
            config=config,
            accelerator=accelerator,
            train=_subset(examples, chosen),
            valid=make_examples(valid_set, task, encode, tokenizer),
            scorer=accelerator.prepare(scorer),
            optimizer=optimizer,
            schedule=torch.optim.lr_scheduler.LambdaLR(optimizer, _linear(steps, config.warmup)),
            targets=targets,
            prior=ranking_prior(train_set, valid_set, task, encode),
            fingerprint=_fingerprint(config),
        )
        _log.info("training on %d turns, %d steps", len(chosen), steps)
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
        names = ("hit@1", "hit@3", "precision@1", "precision@3", "ndcg@5")
        shown = {name: figures[name] for name in names}
        self._log(kind="valid", step=self.progress.step, epoch=epoch, best=better, **shown)
        if better and self.accelerator.is_main_process:
            metadata = {"seed": self.config.seed, "epoch": epoch + 1, "valid": figures}
            self.ranker.config = self.ranker.config.model_copy(update={"metadata": metadata})
            self.ranker.save_pretrained(self.config.work / "best")

    def score(self, examples: Examples) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
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


def score_examples(
    scorer: TurnScorer, examples: Examples, device: torch.device, size: int = 16
) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    """Scores [n] of every turn, in evaluation mode, in batches of turns of like length."""
    scorer.eval()
    lengths = examples.lengths()
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    scores: dict[int, np.ndarray[Any, np.dtype[np.float64]]] = {}
    with torch.inference_mode():
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            batch = collate(examples, rows).to(device)
            tokens = scorer.ranker.tokens([examples.tokens[row] for row in rows]).to(device)
            values = (
                scorer(tokens, batch.aspects, batch.states, batch.vectors).double().cpu().numpy()
            )
            for row, line in zip(rows, values, strict=True):
                scores[row] = line[: len(examples.turns[row].labels)]
        return scorer.ranker.decide(
            [scores[row] for row in range(len(lengths))],
            examples.aspects,
            examples.texts[examples.recent].to(device),
            torch.tensor([turn.round for turn in examples.turns], device=device),
        )


def target_states(
    dialogues: Sequence[AnnotatedDialogue],
    task: TaskSpec,
    encode: Encode,
    config: TrainConfig,
) -> list[TargetStates]:
    """The typical target states of each aspect, in the task's order."""
    ks = range(config.clusters[0], config.clusters[1] + 1) if config.clusters else None
    return [
        find_targets(
            name,
            [dialogue.final_states.get(name, "") for dialogue in dialogues],
            encode,
            ks=ks,
            seed=config.seed,
        )
        for name in task.aspect_names
    ]


def _encoder(
    config: TrainConfig, encode: Encode | None, *, bfloat16: bool
) -> tuple[Encode, str | None]:
    """The encoder behind a cache on the disk, and its weights' hash."""
    if encode is not None:
        return encode, None
    encoder = load_encoder(config.encoder, bfloat16=bfloat16)
    folder = config.cache or config.work / "embeddings"
    identity = f"{config.encoder} {encoder.sha256}{' bfloat16' if bfloat16 else ''}"
    return DiskCache(encoder.encode, folder, identity), encoder.sha256


def _ranker(
    config: TrainConfig,
    task: TaskSpec,
    targets: Sequence[TargetStates],
    transformer: Transformer,
    sha256: str | None,
) -> CooperRanker:
    layers = int(getattr(transformer.module.config, "num_hidden_layers", 0))
    if config.freeze_layers and config.freeze_layers >= layers:
        raise TrainingError(
            f"freeze_layers is {config.freeze_layers} of {layers} layers: leave at least one to "
            "be trained"
        )
    for name, module in transformer.module.named_modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0 if name.endswith(ATTENTION_DROPOUT) else config.dropout
    adapter = None
    if config.adapter_rank:
        upper = tuple(range(config.freeze_layers, layers))
        adapter = AdapterConfig(
            rank=config.adapter_rank, alpha=2.0 * config.adapter_rank, layers=upper
        )
    own = config.fusion == "aspect"  # the paper's takes nothing beside its own
    ranker = CooperRanker(
        RankerConfig(
            task=task.name,
            aspects=task.aspect_names,
            encoder=config.encoder,
            encoder_sha256=sha256,
            dimension=targets[0].centroids.shape[1],
            transformer=config.transformer,
            transformer_config=None if adapter else _architecture(transformer.module),
            weights="adapters" if adapter else "full",
            adapter=adapter,
            form=config.form,
            history_tokens=config.history_tokens,
            topic_tokens=config.topic_tokens,
            fusion=config.fusion,
            rounds=config.rounds if own else 0,
            history_head=config.history_head and own,
            affinity=config.affinity and own,
            decision=config.decision if own else 0.0,
            progression=config.progression,
            targets=tuple(len(target.texts) for target in targets),
            target_texts=tuple(target.texts for target in targets),
            calibration=tuple(target.closeness for target in targets),
        ),
        transformer,
        [torch.from_numpy(target.centroids) for target in targets],
        torch.Generator().manual_seed(config.seed),
    )
    if adapter is None and config.freeze_layers:
        _freeze(ranker.transformer, config.freeze_layers)
    return ranker


def start_from_prior(ranker: CooperRanker, examples: Examples, smoothing: float = 5.0) -> None:
    """Lets the round's share in the decision between the aspects begin at log P(aspect | round).

    Args:
        ranker: The ranker; without rounds nothing is done.
        examples: The training turns.
        smoothing: Turns of the overall distribution that are added to each round's counts.
    """
    table = ranker.fusion.rounds
    if table is None:
        return
    rounds = torch.tensor([turn.round for turn in examples.turns])
    places = (rounds - 1).clamp(0, table.num_embeddings - 1)
    promoted = torch.zeros_like(table.weight).index_add_(0, places, examples.promoted)
    turns = torch.bincount(places, minlength=table.num_embeddings)[:, None]
    overall = examples.promoted.mean(dim=0)
    share = (promoted + smoothing * overall) / (turns + smoothing)
    with torch.no_grad():
        table.weight.copy_(share.clamp(min=1e-3).log())


def _architecture(module: nn.Module) -> dict[str, Any]:
    architecture: Any = module.config
    return dict(architecture.to_dict())


def _freeze(transformer: nn.Module, layers: int) -> None:
    """Keeps the embeddings and the lowest layers as they are."""
    for name, parameter in transformer.named_parameters():
        steps = name.split(".")
        number = next((int(step) for step in steps if step.isdigit()), -1)
        parameter.requires_grad_("embeddings" not in steps and number >= layers)


def parameter_groups(ranker: CooperRanker, config: TrainConfig) -> list[dict[str, Any]]:
    """AdamW's groups: Transformer or adapters, weight matrices of the heads, the rest.

    W of the progression modules starts at the identity and is not decayed to zero.
    """
    transformer, heads, plain = [], [], []
    for name, parameter in ranker.named_parameters():
        if not parameter.requires_grad:
            continue
        if name.startswith("transformer."):
            transformer.append(parameter)
        elif parameter.ndim > 1 and not name.startswith("progressions."):
            heads.append(parameter)
        else:
            plain.append(parameter)
    return [
        {"params": transformer, "lr": config.rate, "weight_decay": config.weight_decay},
        {"params": heads, "lr": config.head_rate, "weight_decay": config.weight_decay},
        {"params": plain, "lr": config.head_rate, "weight_decay": 0.0},
    ]


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


def _subset(examples: Examples, rows: Sequence[int]) -> Examples:
    return Examples(
        turns=[examples.turns[row] for row in rows],
        skipped=examples.skipped,
        dialogues=examples.dialogues,
        tokens=[examples.tokens[row] for row in rows],
        states=examples.states[list(rows)],
        aspects=[examples.aspects[row] for row in rows],
        promoted=examples.promoted[list(rows)],
        texts=examples.texts,
        topics=[examples.topics[row] for row in rows],
        recent=examples.recent[list(rows)],
    )


_NOT_THE_RESULT = {"output", "cache", "data_note", "licence", "save_every", "train", "valid"}


def _fingerprint(config: TrainConfig) -> str:
    """Hash of the settings and of the data's contents; where the files lie does not matter."""
    settings = config.model_dump_json(exclude=_NOT_THE_RESULT)
    digest = hashlib.sha256(settings.encode())
    for file in (config.train, config.valid):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


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
