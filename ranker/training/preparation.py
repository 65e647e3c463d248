"""From annotated dialogues to a ranker that can begin to learn."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from langgraph_cooper.prompts.task import TaskSpec
from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue, Dialogue, fingerprint
from langgraph_cooper.ranker.data.jsonl import read_annotated
from langgraph_cooper.ranker.data.labels import Encode
from langgraph_cooper.ranker.evaluation.aspect_prior import AspectPrior, fit_aspect_prior
from langgraph_cooper.ranker.evaluation.metrics import measure
from langgraph_cooper.ranker.model.encoder import load_encoder
from langgraph_cooper.ranker.model.progression import ProgressionModule
from langgraph_cooper.ranker.model.ranker import CooperRanker
from langgraph_cooper.ranker.model.tokens import TurnTokenizer
from langgraph_cooper.ranker.model.transformer import Transformer
from langgraph_cooper.ranker.training.assembly import new_ranker, target_states
from langgraph_cooper.ranker.training.config import TrainConfig, TrainingError
from langgraph_cooper.ranker.training.embedding_cache import DiskCache, Memo
from langgraph_cooper.ranker.training.examples import Examples, make_examples
from langgraph_cooper.ranker.training.fitting import evidence_scores, fit_evidence
from langgraph_cooper.ranker.training.run_folder import Fitted
from langgraph_cooper.ranker.training.targets import TargetStates

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """All that a run needs before its first step.

    Attributes:
        train: The turns that are trained on.
        valid: Those that the epoch is chosen on.
        ranker: What is to learn; its evidence is fitted and held.
        targets: Its target states, with how they were found.
        finals: Per aspect the final states `[N, n_d]` of the training conversations.
        prior: P(aspect | round), for evaluations.
        fitted: What a run that goes on takes over.
        alone: Figures of the evidence alone on valid; none for a ranker without.
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
        """Fits the figure of progress to the W that the ranker has by now."""
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
) -> Prepared:
    """Reads, labels and embeds the data, finds target states, fits the evidence.

    Args:
        config: The run.
        task: Its task.
        transformer: Where the ranker's Transformer starts from; taken over.
        encode: Encoder of the texts.
        sha256: Of its weights, where they are pinned.
        fitted: What an earlier start of the run had fitted.

    Raises:
        DataError: The data cannot be trained on.
        TrainingError: A dialogue stands in both files, or the settings leave nothing to train.
    """
    _log.info("labelling and embedding %s and %s", config.train.name, config.valid.name)
    # In one order, whichever was annotated first and however they are called: the same dialogues
    # give the same ranker.
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
        valid = valid.expecting(ranker.evidence.expectation)
        alone = measure(valid.turns, evidence_scores(ranker, valid)).means()
    evidence = ranker.evidence.state_dict() if ranker.evidence is not None else {}
    return Prepared(
        train=train.of(_chosen(len(train), config)),
        valid=valid,
        ranker=ranker,
        targets=targets,
        finals=_finals(dialogues, task, encode),
        prior=fit_aspect_prior(dialogues, others, task, encode),
        fitted=fitted or Fitted(targets, evidence, train.expected),
        alone=alone,
    )


def check_apart(
    train: Sequence[Dialogue], valid: Sequence[Dialogue], train_file: Path, valid_file: Path
) -> None:
    """Checks that no dialogue is both trained on and measured on.

    Raises:
        TrainingError: Some are; says how many.
    """
    both = {fingerprint(dialogue) for dialogue in train} & {fingerprint(d) for d in valid}
    if both:
        raise TrainingError(
            f"{len(both)} dialogues stand both in {train_file} and in {valid_file}: what is "
            "trained on cannot choose the epoch; take them out of one of the files"
        )


def _with_evidence(
    ranker: CooperRanker, train: Examples, config: TrainConfig, fitted: Fitted | None
) -> Examples:
    """Fits the evidence to all turns, or takes it over; gives the turns with what is expected."""
    assert ranker.evidence is not None
    if fitted is None:
        _log.info("fitting what the texts' embeddings tell")
        return fit_evidence(ranker, train, config.objective, config.seed)
    ranker.evidence.load_state_dict(fitted.evidence)
    ranker.evidence.requires_grad_(False)
    return replace(train, expected=fitted.expected)


def _finals(dialogues: Sequence[AnnotatedDialogue], task: TaskSpec, encode: Encode) -> list[Tensor]:
    texts = [[d.final_states.get(name, "") for d in dialogues] for name in task.aspect_names]
    return [
        torch.from_numpy(np.asarray(encode([text for text in own if text.strip()]), np.float32))
        for own in texts
    ]


def caching_encoder(config: TrainConfig, *, bfloat16: bool) -> tuple[Encode, str | None]:
    """The run's encoder behind a cache on the disk, and its weights' hash.

    Raises:
        EncoderError: It cannot be loaded.
    """
    encoder = load_encoder(config.encoder, bfloat16=bfloat16)
    folder = config.cache or config.work / "embeddings"
    identity = f"{config.encoder} {encoder.sha256}{' bfloat16' if bfloat16 else ''}"
    return Memo(DiskCache(encoder.encode, folder, identity)), encoder.sha256


def _chosen(count: int, config: TrainConfig) -> list[int]:
    """The rows of the turns that are trained on, in order."""
    if config.max_turns is None or config.max_turns >= count:
        return list(range(count))
    drawn = np.random.default_rng(config.seed).choice(count, config.max_turns, replace=False)
    return [int(row) for row in np.sort(drawn)]
