"""Fitting the evidence before the Transformer learns: in seconds, from embeddings alone."""

from __future__ import annotations

import numpy as np
import torch

from langgraph_cooper.ranker.model.evidence import TurnVectors
from langgraph_cooper.ranker.model.ranker import CooperRanker
from langgraph_cooper.ranker.training.examples import Examples, TurnBatch, collate
from langgraph_cooper.ranker.training.losses import Objective, total_loss
from langgraph_cooper.ranker.training.scorer import Scores

EPOCHS = 8
TURNS_PER_BATCH = 32
RATE = 3e-3
DECAY = 0.01
AT_ONCE = 512


def fit_evidence(
    ranker: CooperRanker, examples: Examples, objective: Objective, seed: int
) -> Examples:
    """Fits a ranker's evidence, and holds it.

    First what is expected of the next utterance; then, by gradient descent on the embeddings alone,
    what the products with it and the others are worth. The Transformer learns afterwards what is
    left. In one go with it, topics that people hardly ever take up and aspects that are not due are
    learnt late and turns by heart early (docs/results.md).

    Args:
        ranker: With evidence.
        examples: The training turns.
        objective: Its losses are the ones that the Transformer is trained by.
        seed: Of the first weights and of the order of the turns. The same seed and turns give the
            same evidence, whatever else the rankers differ in.

    Returns:
        The training turns, with what is expected of each by fits to other conversations.
    """
    evidence = ranker.evidence
    assert evidence is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        evidence.begin()
    examples.fit(evidence.expectation)
    examples = examples.expecting_apart(evidence.expectation)
    products = [
        evidence.products(_vectors(batch), batch.aspects)[batch.mask]
        for batch in _batches(examples)
    ]
    evidence.standardise(torch.cat(products))
    parameters = [p for p in evidence.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=DECAY)
    steps = EPOCHS * -(-len(examples) // TURNS_PER_BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    for epoch in range(EPOCHS):
        order = np.random.default_rng([seed, epoch]).permutation(len(examples)).tolist()
        for start in range(0, len(order), TURNS_PER_BATCH):
            batch = collate(examples, order[start : start + TURNS_PER_BATCH])
            loss, _ = total_loss(objective, _scores(ranker, batch), batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    evidence.requires_grad_(False)
    return examples


def evidence_scores(ranker: CooperRanker, examples: Examples) -> list[Scores]:
    """Scores [n] of every turn by the evidence alone, before the Transformer has learnt."""
    rows: list[Scores] = []
    with torch.inference_mode():
        for batch in _batches(examples):
            counts = batch.mask.sum(dim=1).tolist()
            values = _scores(ranker, batch).double().numpy()
            rows += [row[:count] for row, count in zip(values, counts, strict=True)]
    due = examples.expected and examples.expected.aspects
    return ranker.decide(rows, examples.aspects, due)


def _batches(examples: Examples) -> list[TurnBatch]:
    rows = range(len(examples))
    return [collate(examples, rows[i : i + AT_ONCE]) for i in range(0, len(rows), AT_ONCE)]


def _scores(ranker: CooperRanker, batch: TurnBatch) -> torch.Tensor:
    assert ranker.evidence is not None
    scores: torch.Tensor = ranker.evidence(_vectors(batch), batch.aspects)
    return scores


def _vectors(batch: TurnBatch) -> TurnVectors:
    assert batch.vectors is not None  # its examples know what is expected
    return batch.vectors
