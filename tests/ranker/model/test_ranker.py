"""Scores against NumPy in float64, and what they must not depend on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from langgraph_cooper.ranker.model.config import AdapterConfig, RankerConfig
from langgraph_cooper.ranker.model.evidence import TurnVectors
from langgraph_cooper.ranker.model.lora import adapter_tensors
from langgraph_cooper.ranker.model.next_utterance import NextUtterancePrediction
from langgraph_cooper.ranker.model.ranker import CooperRanker
from langgraph_cooper.ranker.model.tokens import TurnTokens
from tests.ranker.tiny import (
    ASPECTS,
    HISTORY,
    TOPICS,
    fresh_ranker,
    random_ranker,
    ranker_config,
    turn_vectors,
)

OWNERS = torch.tensor([[0, 1, 2, 3, 0]])  # 3 is passive
FORMS = ("packed", "pairwise")


def _state(model: CooperRanker) -> dict[str, NDArray[np.float64]]:
    return {k: v.detach().numpy().astype(np.float64) for k, v in model.state_dict().items()}


def _turn(model: CooperRanker) -> TurnTokens:
    return model.tokenizer.turn(HISTORY, TOPICS)


def _scores(model: CooperRanker, states: torch.Tensor, form: Any = None) -> torch.Tensor:
    with torch.inference_mode():
        tokens = model.tokens([_turn(model)], form)
        result: torch.Tensor = model(tokens, OWNERS, model.signals(states), turn_vectors())
    return result


@pytest.mark.parametrize("fusion", ["paper", "aspect"])
def test_score_by_numpy(tiny_transformer: str, states: torch.Tensor, fusion: str) -> None:
    model = random_ranker(ranker_config(tiny_transformer, fusion=fusion, interaction=6))
    w = _state(model)
    signals = model.signals(states)
    p = np.concatenate([row.ravel() for row in signals[0].detach().numpy().astype(np.float64)])
    hidden = np.maximum(w["mlp.0.weight"] @ p + w["mlp.0.bias"], 0)
    prg = w["mlp.2.weight"] @ hidden + w["mlp.2.bias"]
    with torch.inference_mode():
        text = model.encode(model.tokens([_turn(model)]))[0].numpy().astype(np.float64)
    expected = []
    for place, (b, aspect) in enumerate(zip(text, OWNERS[0].tolist(), strict=True)):
        score = w["fusion.output.weight"][0] @ np.concatenate([prg, b]) + w["fusion.output.bias"][0]
        if fusion == "aspect":
            due = w["fusion.aspects.weight"] @ prg + w["fusion.aspects.bias"]
            left, right = w["fusion.signal_factor.weight"] @ prg, w["fusion.text_factor.weight"] @ b
            score += due[aspect] + left @ right / np.sqrt(6) + _evidence(w, place, aspect)
        expected.append(score)
    np.testing.assert_allclose(_scores(model, states)[0].numpy(), expected, rtol=1e-4, atol=1e-4)


def _evidence(w: dict[str, NDArray[np.float64]], place: int, aspect: int) -> Any:
    vectors = turn_vectors()
    topic = vectors.topics[0, place].numpy()
    said = np.vstack([vectors.recent[0].numpy(), vectors.predicted.utterance.numpy()])
    products = np.append(said @ topic, np.log([0.5, 0.2, 0.9, 0.1][aspect]))
    inputs = (products - w["evidence.mean"]) / w["evidence.deviation"]
    given = np.concatenate([inputs, np.eye(4)[aspect]])
    hidden = np.maximum(w["evidence.hidden.weight"] @ given + w["evidence.hidden.bias"], 0)
    score = w["evidence.output.weight"][0] @ hidden + w["evidence.topic.weight"][0] @ topic
    return score + w["evidence.rounds.weight"][1, aspect]  # the second round


@pytest.mark.parametrize("form", FORMS)
def test_the_round_decides_between_aspects(ranker: CooperRanker, form: Any) -> None:
    """Later rounds than the last that is told apart count as that one."""
    turn, states = _turn(ranker), torch.zeros(1, 3, 32)

    def scores(number: int) -> torch.Tensor:
        vectors = turn_vectors()._replace(rounds=torch.tensor([number]))
        with torch.inference_mode():
            tokens, signals = ranker.tokens([turn], form), ranker.signals(states)
            result: torch.Tensor = ranker(tokens, OWNERS, signals, vectors)
        return result

    assert ranker.evidence is not None
    table = ranker.evidence.rounds.weight.detach()
    torch.testing.assert_close(
        scores(3) - scores(1), (table[2] - table[0])[OWNERS].double(), atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(scores(3), scores(40))


def test_the_transformer_begins_silent_beside_evidence(
    tiny_transformer: str, states: torch.Tensor
) -> None:
    model = CooperRanker(ranker_config(tiny_transformer)).eval()
    assert model.evidence is not None
    alone = model.evidence(turn_vectors(), OWNERS)
    torch.testing.assert_close(_scores(model, states), alone.double())
    bare = CooperRanker(ranker_config(tiny_transformer, evidence=False)).eval()
    assert _scores(bare, states).std() > 0.01


def test_evidence_needs_the_embeddings(ranker: CooperRanker, states: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="pass vectors"):
        ranker(ranker.tokens([_turn(ranker)]), OWNERS, ranker.signals(states))


def test_signal_stacks_every_aspect_in_order(ranker: CooperRanker, states: torch.Tensor) -> None:
    signals = ranker.signals(states)
    assert signals.shape == (1, 3, 2, 32)
    for index, aspect in enumerate(ASPECTS):
        expected = ranker.progression_module(aspect)(states[:, index]).signal
        torch.testing.assert_close(signals[:, index], expected)


def test_the_paper_s_layer_cannot_let_signals_change_a_ranking(
    tiny_transformer: str, states: torch.Tensor
) -> None:
    paper = random_ranker(ranker_config(tiny_transformer, fusion="paper"))
    shift = _scores(paper, states) - _scores(paper, -states)
    torch.testing.assert_close(shift, shift[:, :1].expand_as(shift), rtol=1e-3, atol=1e-4)
    assert shift.abs().max() > 0.01
    aspect = random_ranker(ranker_config(tiny_transformer, fusion="aspect"))
    moved = _scores(aspect, states) - _scores(aspect, -states)
    assert (moved - moved[:, :1]).abs().max() > 0.01


@pytest.mark.parametrize("fusion", ["paper", "aspect"])
def test_ablation_reads_no_signals(
    tiny_transformer: str, states: torch.Tensor, fusion: str
) -> None:
    model = random_ranker(ranker_config(tiny_transformer, fusion=fusion, progression=False))
    assert model.mlp is None
    torch.testing.assert_close(_scores(model, states), _scores(model, -states))
    trainable = [name for name, p in model.named_parameters() if p.requires_grad]
    assert not any(name.startswith("progressions.") for name in trainable)


@pytest.mark.parametrize("form", FORMS)
def test_candidates_are_independent(ranker: CooperRanker, states: torch.Tensor, form: Any) -> None:
    together = _scores(ranker, states, form)[0]
    turn = _turn(ranker)
    for index, candidate in enumerate(turn.candidates):
        alone = ranker.tokens([turn._replace(candidates=[candidate])], form)
        own = turn_vectors()._replace(topics=turn_vectors().topics[:, index : index + 1])
        score = ranker(alone, OWNERS[:, index : index + 1], ranker.signals(states), own)
        assert score.item() == pytest.approx(together[index].item(), abs=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_order_of_candidates_only_orders_scores(
    ranker: CooperRanker, states: torch.Tensor, form: Any
) -> None:
    order = [3, 0, 4, 2, 1]
    turn = _turn(ranker)
    shuffled = turn._replace(candidates=[turn.candidates[i] for i in order])
    vectors = turn_vectors()._replace(topics=turn_vectors().topics[:, order])
    tokens = ranker.tokens([shuffled], form)
    scores = ranker(tokens, OWNERS[:, order], ranker.signals(states), vectors)
    torch.testing.assert_close(
        scores, _scores(ranker, states, form)[:, order], atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("form", FORMS)
def test_padding_changes_nothing(ranker: CooperRanker, states: torch.Tensor, form: Any) -> None:
    turn = _turn(ranker)
    other = TurnTokens(turn.history * 2, turn.candidates + turn.candidates)
    small = TurnTokens(turn.history[:3], turn.candidates[:2])
    topics = turn_vectors().topics.repeat(3, 2, 1)
    topics[0, 5:], topics[2, 2:] = 0.0, 0.0
    one = turn_vectors()
    predicted = NextUtterancePrediction(*(value.repeat(3, 1) for value in one.predicted))
    vectors = TurnVectors(topics, one.recent.repeat(3, 1, 1), one.rounds.repeat(3), predicted)
    batch = ranker.tokens([turn, other, small], form)
    owners = torch.zeros(3, 10, dtype=torch.long)
    owners[0, :5], owners[1], owners[2, :2] = OWNERS[0], OWNERS[0].repeat(2), OWNERS[0, :2]
    scores = ranker(batch, owners, ranker.signals(states.expand(3, -1, -1)), vectors)
    torch.testing.assert_close(scores[:1, :5], _scores(ranker, states, form), atol=1e-4, rtol=1e-4)
    tokens = ranker.tokens([small], form)
    alone = ranker(tokens, OWNERS[:, :2], ranker.signals(states), turn_vectors(2))
    torch.testing.assert_close(scores[2:, :2], alone, atol=1e-4, rtol=1e-4)
    assert scores.isfinite().all()


def test_forms_read_the_same_pair_when_a_pair_is_all_there_is(tiny_transformer: str) -> None:
    """The pairwise form reads `[CLS] history [SEP] candidate [SEP]` as the library itself does."""
    model = random_ranker(ranker_config(tiny_transformer, adapter=None))
    turn = _turn(model)
    pairs = model.encode(model.tokens([turn], "pairwise"))
    specials = model.tokenizer.specials
    for index, candidate in enumerate(turn.candidates):
        left = [specials.cls, *turn.history, specials.sep]
        ids = torch.tensor([[*left, *candidate, specials.sep]])
        types = torch.tensor([[0] * len(left) + [1] * (len(candidate) + 1)])
        plain = model.transformer(input_ids=ids, token_type_ids=types).last_hidden_state[0, 0]
        torch.testing.assert_close(pairs[0, index], plain, atol=1e-4, rtol=1e-4)


def test_packed_history_does_not_see_candidates(tiny_transformer: str) -> None:
    """So that its states are those of the history alone, whatever the candidates."""
    model = random_ranker(ranker_config(tiny_transformer))
    turn = _turn(model)
    specials = model.tokenizer.specials
    history = torch.tensor([[specials.cls, *turn.history, specials.sep]])
    plain = model.transformer(input_ids=history).last_hidden_state
    tokens = model.tokens([turn])
    packed = model.transformer(
        input_ids=tokens.input_ids,
        attention_mask=tokens.attention_mask,
        position_ids=tokens.position_ids,
        token_type_ids=tokens.token_type_ids,
    ).last_hidden_state
    torch.testing.assert_close(packed[:, : history.shape[1]], plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fusion", ["paper", "aspect"])
def test_gradient_reaches_every_parameter(
    tiny_transformer: str, states: torch.Tensor, form: Any, fusion: str
) -> None:
    config = ranker_config(tiny_transformer, form=form, fusion=fusion)
    model = random_ranker(config).train()
    scores = model(model.tokens([_turn(model)]), OWNERS, model.signals(states), turn_vectors())
    (scores * torch.tensor([1.0, -2.0, 3.0, 0.5, -0.7])).sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name
    trained = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    heads = {"fusion", "evidence"} if fusion == "aspect" else {"fusion"}
    assert trained == {"transformer", "progressions", "mlp"} | heads


def test_full_training_reaches_the_whole_transformer(
    tiny_transformer: str, states: torch.Tensor
) -> None:
    model = random_ranker(ranker_config(tiny_transformer, adapter=None, weights="full")).train()
    tokens = model.tokens([_turn(model)])
    model(tokens, OWNERS, model.signals(states), turn_vectors()).square().sum().backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None]
    assert silent == []


def test_adapters_start_as_nothing_and_merge_exactly(
    tiny_transformer: str, states: torch.Tensor, tmp_path: Path
) -> None:
    config = ranker_config(tiny_transformer)
    bare = CooperRanker(ranker_config(tiny_transformer, adapter=None)).eval()
    fresh = fresh_ranker(config).eval()
    turn = _turn(fresh)
    alike = (m.encode(m.tokens([turn])) for m in (fresh, bare))
    torch.testing.assert_close(*alike, atol=1e-5, rtol=1e-5)
    model = random_ranker(config)
    before = _scores(model, states)
    model.save_pretrained(tmp_path, half=False)
    loaded = CooperRanker.from_pretrained(tmp_path)
    torch.testing.assert_close(before, _scores(loaded, states), atol=1e-4, rtol=1e-4)
    assert not adapter_tensors(loaded.transformer)
    assert (before - _scores(fresh, states)).abs().max() > 0.1


def test_adapters_only_where_asked(tiny_transformer: str) -> None:
    adapter = AdapterConfig(rank=2, targets=("query", "value"), layers=(1,))
    model = fresh_ranker(ranker_config(tiny_transformer, adapter=adapter))
    names = sorted(adapter_tensors(model.transformer))
    assert [name.split(".")[2] for name in names] == ["1"] * 4
    layers = [f"{layer}.{part}" for layer in ("query", "value") for part in "ab"]
    assert [name.split("self.")[1] for name in names] == layers
    trainable = [k for k, p in model.transformer.named_parameters() if p.requires_grad]
    assert len(trainable) == 4
    with pytest.raises(ValueError, match="no linear layers named q_proj"):
        fresh_ranker(ranker_config(tiny_transformer, adapter=AdapterConfig(targets=("q_proj",))))


def test_more_tokens_than_positions(tiny_transformer: str) -> None:
    with pytest.raises(ValueError, match="204, more than the 128 positions"):
        CooperRanker(ranker_config(tiny_transformer, history_tokens=188))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"aspects": ("a", "a", "b")}, "differ"),
        ({"aspects": ("a", "passive", "b")}, "differ"),
        ({"targets": (4, 3)}, "one entry per aspect"),
        ({"targets": (4, 3, 9)}, "as many texts"),
        ({"weights": "full"}, "takes no adapter"),
        ({"fusion": "paper", "evidence": True}, "takes no evidence"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_config_agrees_with_itself(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ranker_config("none", **changes)


def test_aspect_index_ends_with_passive() -> None:
    config: RankerConfig = ranker_config("none")
    assert [config.aspect_index(name) for name in (*ASPECTS, "passive")] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="'humour' is not one of"):
        config.aspect_index("humour")
