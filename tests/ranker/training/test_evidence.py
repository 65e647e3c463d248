"""What the texts' embeddings tell, fitted before the Transformer learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from langgraph_cooper.prompts import TaskSpec, load_task
from langgraph_cooper.ranker.evaluation.metrics import measure
from langgraph_cooper.ranker.model.ranker import CooperRanker
from langgraph_cooper.ranker.training.evidence import evidence_scores, fit_evidence
from langgraph_cooper.ranker.training.examples import Examples, make_examples
from langgraph_cooper.ranker.training.losses import Objective
from langgraph_cooper.ranker.training.scorer import TurnScorer, score_examples
from tests.ranker.tiny import ranker_config
from tests.ranker.toys import DIMENSION, STRATEGY, encode, toy_dialogues, toy_task


@pytest.fixture
def task() -> TaskSpec:
    return toy_task(load_task("esc").prompts)


def _ranker(transformer: str, seed: int = 0, **changes: Any) -> CooperRanker:
    torch.manual_seed(seed)
    settings = {"aspects": tuple(STRATEGY), "dimension": DIMENSION, "decision": 0.5} | changes
    return CooperRanker(ranker_config(transformer, **settings)).eval()


def _examples(ranker: CooperRanker, task: TaskSpec, count: int, first: int = 0) -> Examples:
    return make_examples(toy_dialogues(count, first), task, encode, ranker.tokenizer)


def test_it_ranks_other_conversations(tiny_transformer: str, task: TaskSpec) -> None:
    """The toys promote one aspect a round, and speak of what the person has."""
    ranker = _ranker(tiny_transformer)
    fit_evidence(ranker, _examples(ranker, task, 24), Objective(), seed=0)
    assert ranker.evidence is not None
    others = _examples(ranker, task, 8, first=24).with_prediction(ranker.evidence.expectation)
    figures = measure(others.turns, evidence_scores(ranker, others)).means()
    assert figures["hit@1"] > 0.9
    assert figures["precision@1"] > 0.9


def test_the_transformer_starts_where_the_evidence_stands(
    tiny_transformer: str, task: TaskSpec
) -> None:
    ranker = _ranker(tiny_transformer)
    examples = fit_evidence(ranker, _examples(ranker, task, 6), Objective(), seed=0)
    alone = evidence_scores(ranker, examples)
    whole = score_examples(TurnScorer(ranker), examples, torch.device("cpu"))
    for one, other in zip(alone, whole, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_then_it_is_held_and_the_same_seed_gives_the_same(
    tiny_transformer: str, task: TaskSpec
) -> None:
    fitted = []
    for _ in range(2):
        ranker = _ranker(tiny_transformer)
        fit_evidence(ranker, _examples(ranker, task, 6), Objective(), seed=1)
        assert ranker.evidence is not None
        assert not any(p.requires_grad for p in ranker.evidence.parameters())
        fitted.append(ranker.evidence.state_dict())
    for name, value in fitted[0].items():
        torch.testing.assert_close(value, fitted[1][name], rtol=0, atol=0)


def test_training_turns_see_fits_to_other_conversations(
    tiny_transformer: str, task: TaskSpec
) -> None:
    ranker = _ranker(tiny_transformer)
    plain = _examples(ranker, task, 6)
    apart = fit_evidence(ranker, plain, Objective(), seed=0).predicted
    assert ranker.evidence is not None
    own = plain.with_prediction(ranker.evidence.expectation).predicted
    assert apart is not None
    assert own is not None
    real = plain.texts[plain.replies]
    error = [(found.utterance - real).square().mean() for found in (apart, own)]
    assert error[0] > error[1]


def test_rankers_that_differ_elsewhere_have_the_same_evidence(
    tiny_transformer: str, task: TaskSpec
) -> None:
    states = []
    for ranker in (
        _ranker(tiny_transformer),
        _ranker(tiny_transformer, seed=5, progression=False, form="pairwise"),
    ):
        fit_evidence(ranker, _examples(ranker, task, 6), Objective(), seed=0)
        assert ranker.evidence is not None
        states.append(ranker.evidence.state_dict())
    torch.testing.assert_close(*states, rtol=0, atol=0)
    other = _ranker(tiny_transformer)
    fit_evidence(other, _examples(other, task, 6), Objective(), seed=1)
    assert other.evidence is not None
    assert not torch.equal(other.evidence.hidden.weight, states[0]["hidden.weight"])
