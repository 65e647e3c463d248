"""What a run is set up with, and what the optimiser does with which parameters."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.data.dialogue import Dialogue
from langgraph_cooper.ranker.model.ranker import CooperRanker
from langgraph_cooper.ranker.model.transformer import load_transformer
from langgraph_cooper.ranker.training.config import PAPER, TrainConfig, TrainingError
from langgraph_cooper.ranker.training.optimizer import parameter_groups
from langgraph_cooper.ranker.training.setup import check_apart, new_ranker, target_states
from tests.ranker.toys import encode, said, toy_dialogues, toy_task

DECAY, RATE, HEAD_RATE = 0.25, 0.5, 0.125


def configured(transformer: str, rank: int, freeze: int) -> TrainConfig:
    return TrainConfig(
        task="toy",
        train=Path("unread"),
        valid=Path("unread"),
        output=Path("unwritten"),
        encoder="toy",
        transformer=transformer,
        clusters=(2, 3),
        history_tokens=48,
        topic_tokens=16,
        adapter_rank=rank,
        freeze_layers=freeze,
        weight_decay=DECAY,
        transformer_rate=RATE,
        head_rate=HEAD_RATE,
    )


def assembled(config: TrainConfig) -> CooperRanker:
    task = toy_task(load_task("esc").prompts)
    targets = target_states(toy_dialogues(6), task, encode, config)
    return new_ranker(config, task, targets, load_transformer(config.transformer), None)


@pytest.mark.parametrize(("rank", "freeze"), [(4, 1), (0, 1), (0, 0)])
def test_only_weight_matrices_are_decayed(tiny_transformer: str, rank: int, freeze: int) -> None:
    config = configured(tiny_transformer, rank, freeze)
    ranker = assembled(config)
    treated = [
        (id(parameter), (group["lr"], group["weight_decay"]))
        for group in parameter_groups(ranker, config)
        for parameter in group["params"]
    ]
    found = dict(treated)
    trained = {name: p for name, p in ranker.named_parameters() if p.requires_grad}
    assert found.keys() == {id(parameter) for parameter in trained.values()}
    assert len(treated) == len(found)  # each once
    matrices = {name for name, parameter in trained.items() if parameter.ndim == 2}
    if not rank:
        assert "transformer.encoder.layer.1.output.LayerNorm.weight" in trained.keys() - matrices
        assert "transformer.encoder.layer.1.output.dense.bias" in trained.keys() - matrices
    for name, parameter in trained.items():
        rate, decay = found[id(parameter)]
        assert rate == (RATE if name.startswith("transformer.") else HEAD_RATE), name
        decayed = name in matrices and not name.startswith("progressions.")
        assert decay == (DECAY if decayed else 0.0), name


def test_a_step_without_gradients_shrinks_nothing_but_matrices(tiny_transformer: str) -> None:
    config = configured(tiny_transformer, 0, 0)
    ranker = assembled(config)
    optimizer = torch.optim.AdamW(parameter_groups(ranker, config))
    before = {name: p.detach().clone() for name, p in ranker.transformer.named_parameters()}
    for parameter in ranker.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in ranker.transformer.named_parameters():
        share = 1 - RATE * DECAY if parameter.ndim > 1 else 1.0
        torch.testing.assert_close(parameter.detach(), share * before[name])


def talk(name: str, *texts: str) -> Dialogue:
    sides = ("system", "user")
    return Dialogue(
        id=name, utterances=tuple(said(sides[n % 2], text) for n, text in enumerate(texts))
    )


FULL = talk("20180904_live", "Hi, how are you? It is a fine day.", "Well, thanks.", "Do you give?")
CUT_OTHERWISE = talk(
    "20180904_live", "Hi how are you ?  It is a fine day", "Well , thanks", "Give?"
)


@pytest.mark.parametrize(
    ("train", "valid", "found"),
    [
        (FULL, CUT_OTHERWISE, 1),  # as the two files of Persuasion for Good
        (FULL, talk("other", *(each.text for each in FULL.utterances)), 1),
        (
            talk("1", "Hello!", "I lost my job and my house."),
            talk("1", "Hello!", "My dog died."),
            0,
        ),
        (FULL, talk("other", "Hi, how are you? It is a fine day.", "Yes."), 0),
    ],
)
def test_a_conversation_is_known_again_in_another_file(
    train: Dialogue, valid: Dialogue, found: int
) -> None:
    files = Path("train.jsonl"), Path("valid.jsonl")
    if not found:
        check_apart([train], [valid], *files)
        return
    with pytest.raises(TrainingError, match=r"1 dialogues are both in train\.jsonl and") as told:
        check_apart([train], [valid], *files)
    assert f"(in valid.jsonl: {valid.id!r})" in str(told.value)


def test_the_papers_set_up_has_the_papers_one_rate() -> None:
    settings = {name: value for name, value in PAPER.items() if name != "objective"}
    unread = Path("unread")
    config = TrainConfig(task="esc", train=unread, valid=unread, output=unread, **settings)
    assert config.rate == config.head_rate == 5e-5
