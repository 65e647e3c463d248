"""Fitting the evidence before the Transformer is trained: in seconds, from embeddings alone."""

from __future__ import annotations

import numpy as np
import torch

from langgraph_cooper.ranker.model.evidence import TurnVectors
from langgraph_cooper.ranker.model.ranker import CooperRanker
from langgraph_cooper.ranker.training.examples import Examples, TurnBatch, collate
from langgraph_cooper.ranker.training.losses import Objective, total_loss
from langgraph_cooper.ranker.training.scorer import TurnScores, unpadded

EPOCHS = 8
TURNS_PER_BATCH = 32
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 0.01
SCORING_BATCH = 512
"""Turns per batch where no gradient is taken."""


def fit_evidence(
    ranker: CooperRanker, examples: Examples, objective: Objective, seed: int
) -> Examples:
    """Fit a ranker's evidence, and freeze it.

    The prediction of the next utterance is fitted first, then, by gradient descent on the
    embeddings alone, the weights of its features. The Transformer is trained on the residual
    afterwards. Trained together, the ranker memorises turns before it learns which topics are
    rarely taken up and which aspects come next (docs/results-attempts.md).

    Args:
        ranker: A ranker with evidence.
        examples: The training turns.
        objective: The losses, as for the Transformer.
        seed: Seed of the initial weights and of the order of the turns. The same seed and turns
            give the same evidence in rankers that differ elsewhere.

    Returns:
        The training turns, each with a prediction by a fit to other conversations.
    """
    evidence = ranker.evidence
    assert evidence is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        evidence.reset_parameters()
    examples.fit(evidence.expectation)
    examples = examples.with_cross_fit(evidence.expectation)
    features = [
        evidence.features(_vectors(batch), batch.aspects)[batch.mask]
        for batch in _batches(examples)
    ]
    evidence.standardise(torch.cat(features))
    parameters = [p for p in evidence.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = EPOCHS * -(-len(examples) // TURNS_PER_BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    for epoch in range(EPOCHS):
        order = np.random.default_rng([seed, epoch]).permutation(len(examples)).tolist()
        for start in range(0, len(order), TURNS_PER_BATCH):
            batch = collate(examples, order[start : start + TURNS_PER_BATCH])
            loss, _ = total_loss(objective, evidence(_vectors(batch), batch.aspects), batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    evidence.requires_grad_(False)
    return examples


def evidence_scores(ranker: CooperRanker, examples: Examples) -> list[TurnScores]:
    """Score [n] the candidates of every turn by the evidence alone."""
    scores: list[TurnScores] = []
    with torch.inference_mode():
        for batch in _batches(examples):
            found = ranker.evidence_scores(batch.aspects, _vectors(batch), batch.mask)
            scores += unpadded(found, batch.mask)
    return scores


def _batches(examples: Examples) -> list[TurnBatch]:
    rows = range(len(examples))
    return [
        collate(examples, rows[i : i + SCORING_BATCH]) for i in range(0, len(rows), SCORING_BATCH)
    ]


def _vectors(batch: TurnBatch) -> TurnVectors:
    assert batch.vectors is not None  # its examples have predictions
    return batch.vectors
