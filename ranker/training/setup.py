"""Setting up a training run: data, target states, the new ranker and its fitted evidence."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from langgraph_cooper.prompts.task import TaskSpec
from langgraph_cooper.ranker.data.dialogue import (
    AnnotatedDialogue,
    Dialogue,
    fingerprint,
    known_by,
)
from langgraph_cooper.ranker.data.jsonl import read_annotated
from langgraph_cooper.ranker.data.labels import Encode
from langgraph_cooper.ranker.evaluation.aspect_prior import AspectPrior, fit_aspect_prior
from langgraph_cooper.ranker.evaluation.metrics import measure
from langgraph_cooper.ranker.model.config import AdapterConfig, RankerConfig
from langgraph_cooper.ranker.model.progression import ProgressionModule
from langgraph_cooper.ranker.model.ranker import CooperRanker
from langgraph_cooper.ranker.model.tokens import TurnTokenizer
from langgraph_cooper.ranker.model.transformer import Transformer
from langgraph_cooper.ranker.training.adapters import add_adapters
from langgraph_cooper.ranker.training.config import TrainConfig, TrainingError
from langgraph_cooper.ranker.training.evidence import evidence_scores, fit_evidence
from langgraph_cooper.ranker.training.examples import Examples, make_examples
from langgraph_cooper.ranker.training.run_folder import Fitted
from langgraph_cooper.ranker.training.targets import TargetStates, find_targets

_log = logging.getLogger(__name__)

ATTENTION_DROPOUT = ("self.dropout", "attn.dropout")
"""Names of the dropout of attention weights in Bert-like models."""

NAMED = 5
"""Number of ids that a message names."""

SHARED = (
    *("encoder", "transformer", "form", "history_tokens", "topic_tokens", "fusion", "rounds"),
    "progression",
)
"""Settings of a run that are also the ranker's."""


@dataclass(frozen=True)
class Setup:
    """The parts of a run before its first step.

    Attributes:
        train: The turns to train on.
        valid: The turns that choose the epoch.
        ranker: The ranker to train; its evidence is fitted and frozen.
        targets: Its target states.
        finals: Per aspect the final states `[N, n_d]` of the training conversations.
        prior: P(aspect | round), for evaluations.
        fitted: The parts that a resumed run takes over.
        alone: Figures of the evidence alone on valid; None for a ranker without evidence.
    """

    train: Examples
    valid: Examples
    ranker: CooperRanker
    targets: list[TargetStates]
    finals: list[Tensor]
    prior: AspectPrior
    fitted: Fitted
    alone: Mapping[str, float] | None

    def calibrate(self) -> None:
        """Calibrate the progress figure to the ranker's present W."""
        for module, finals in zip(self.ranker.progressions.values(), self.finals, strict=True):
            assert isinstance(module, ProgressionModule)
            module.calibrate(finals.to(module.weight.device))


def prepare(
    config: TrainConfig,
    task: TaskSpec,
    transformer: Transformer,
    encode: Encode,
    sha256: str | None,
    fitted: Fitted | None,
) -> Setup:
    """Read, label and embed the data, find target states, fit the evidence.

    Args:
        config: The run.
        task: Its task.
        transformer: The initial Transformer; modified.
        encode: Encoder of the texts.
        sha256: SHA-256 of its weights, where they are pinned.
        fitted: The parts that an earlier start of the run has fitted.

    Raises:
        DataError: The data cannot be trained on.
        TrainingError: A dialogue is in both files, or the settings leave no layer to train.
    """
    _log.info("labelling and embedding %s and %s", config.train.name, config.valid.name)
    # Sorted: the same dialogues give the same ranker, in any order and under any id.
    dialogues, others = (
        sorted(read_annotated(file), key=fingerprint) for file in (config.train, config.valid)
    )
    check_apart(dialogues, others, config.train, config.valid)
    tokenizer = TurnTokenizer(
        transformer.tokenizer,
        history_tokens=config.history_tokens,
        topic_tokens=config.topic_tokens,
    )
    train, valid = (make_examples(d, task, encode, tokenizer) for d in (dialogues, others))
    if fitted is None:
        _log.info("clustering the final states of %d conversations", len(dialogues))
        targets = target_states(dialogues, task, encode, config)
    else:
        targets = fitted.targets
    ranker = new_ranker(config, task, targets, transformer, sha256)
    alone = None
    if ranker.evidence is not None:
        train = _with_evidence(ranker, train, config, fitted)
        valid = valid.with_prediction(ranker.evidence.expectation)
        alone = measure(valid.turns, evidence_scores(ranker, valid)).means()
    evidence = ranker.evidence.state_dict() if ranker.evidence is not None else {}
    return Setup(
        train=train.of(_drawn(len(train), config)),
        valid=valid,
        ranker=ranker,
        targets=targets,
        finals=[
            torch.from_numpy(np.asarray(encode([t for t in texts if t.strip()]), np.float32))
            for texts in _final_states(dialogues, task).values()
        ],
        prior=fit_aspect_prior(dialogues, others, task, encode),
        fitted=fitted or Fitted(targets, evidence, train.predicted),
        alone=alone,
    )


def check_apart(
    train: Sequence[Dialogue], valid: Sequence[Dialogue], train_file: Path, valid_file: Path
) -> None:
    """Check that no dialogue is both trained on and measured on, by `known_by`.

    Raises:
        TrainingError: Some are; the message says how many, and names the first ones.
    """
    learnt = {mark for dialogue in train for mark in known_by(dialogue)}
    both = [repr(each.id) for each in valid if not learnt.isdisjoint(known_by(each))]
    if both:
        named = ", ".join([*both[:NAMED], *(["..."] if len(both) > NAMED else [])])
        raise TrainingError(
            f"{len(both)} dialogues are both in {train_file} and in {valid_file}: dialogues "
            "that are trained on cannot choose the epoch; take them out of one of the files "
            f"(in {valid_file.name}: {named}). Two of one id and the same first words count as "
            "one: rename those that are not"
        )


def target_states(
    dialogues: Sequence[AnnotatedDialogue], task: TaskSpec, encode: Encode, config: TrainConfig
) -> list[TargetStates]:
    """Find the typical target states of each aspect, in the task's order."""
    ks = range(config.clusters[0], config.clusters[1] + 1) if config.clusters else None
    return [
        find_targets(name, texts, encode, ks=ks, seed=config.seed)
        for name, texts in _final_states(dialogues, task).items()
    ]


def _final_states(dialogues: Sequence[AnnotatedDialogue], task: TaskSpec) -> dict[str, list[str]]:
    return {name: [d.final_states.get(name, "") for d in dialogues] for name in task.aspect_names}


def _with_evidence(
    ranker: CooperRanker, train: Examples, config: TrainConfig, fitted: Fitted | None
) -> Examples:
    """Fit the evidence to all turns, or take it over; return the turns with predictions."""
    assert ranker.evidence is not None
    if fitted is None:
        _log.info("fitting the evidence")
        return fit_evidence(ranker, train, config.objective, config.seed)
    ranker.evidence.load_state_dict(fitted.evidence)
    ranker.evidence.requires_grad_(False)
    return replace(train, predicted=fitted.predicted)


def _drawn(count: int, config: TrainConfig) -> list[int]:
    """Return the rows of the turns to train on, in order."""
    if config.max_turns is None or config.max_turns >= count:
        return list(range(count))
    drawn = np.random.default_rng(config.seed).choice(count, config.max_turns, replace=False)
    return [int(row) for row in np.sort(drawn)]


# -- the new ranker -------------------------------------------------------------------------------


def new_ranker(
    config: TrainConfig,
    task: TaskSpec,
    targets: Sequence[TargetStates],
    transformer: Transformer,
    sha256: str | None,
) -> CooperRanker:
    """Build the ranker to train; parts that are not trained are frozen.

    Args:
        config: The run.
        task: Its task.
        targets: Target states of each aspect, in the task's order.
        transformer: The initial Transformer; modified.
        sha256: SHA-256 of the sentence encoder's weights, where they are pinned.

    Raises:
        TrainingError: No layer would be left to train.
    """
    module: Any = transformer.module
    layers = int(getattr(module.config, "num_hidden_layers", 0))
    if config.freeze_layers and config.freeze_layers >= layers:
        raise TrainingError(
            f"freeze_layers is {config.freeze_layers} of {layers} layers: leave at least one to "
            "be trained"
        )
    for name, inner in module.named_modules():
        if isinstance(inner, nn.Dropout):
            inner.p = 0.0 if name.endswith(ATTENTION_DROPOUT) else config.dropout
    adapter = None
    if config.adapter_rank:
        upper = tuple(range(config.freeze_layers, layers))
        adapter = AdapterConfig(
            rank=config.adapter_rank, alpha=2.0 * config.adapter_rank, layers=upper
        )
    evidence = config.evidence and config.fusion == "aspect"  # the paper's score has none
    ranker = CooperRanker(
        RankerConfig(
            **{name: getattr(config, name) for name in SHARED},
            task=task.name,
            aspects=task.aspect_names,
            encoder_sha256=sha256,
            dimension=targets[0].centroids.shape[1],
            transformer_config=None if adapter else dict(module.config.to_dict()),
            weights="adapters" if adapter else "full",
            adapter=adapter,
            evidence=evidence,
            decision=config.decision if evidence else 0.0,
            targets=tuple(len(target.texts) for target in targets),
            target_texts=tuple(target.texts for target in targets),
            calibration=((0.0, 1.0),) * len(targets),
        ),
        transformer,
        [torch.from_numpy(target.centroids) for target in targets],
        torch.Generator().manual_seed(config.seed),
    )
    if adapter:
        add_adapters(ranker.transformer, adapter)
    elif config.freeze_layers:
        _freeze(ranker.transformer, config.freeze_layers)
    return ranker


def _freeze(transformer: nn.Module, layers: int) -> None:
    """Freeze the embeddings and the lowest layers."""
    for name, parameter in transformer.named_parameters():
        steps = name.split(".")
        number = next((int(step) for step in steps if step.isdigit()), -1)
        parameter.requires_grad_("embeddings" not in steps and number >= layers)
