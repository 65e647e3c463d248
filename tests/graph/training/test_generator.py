from __future__ import annotations

import copy

import pytest
import torch

from langgraph_cooper.graph.training.generator.adapters import Adapters, adapter_config
from langgraph_cooper.graph.training.generator.attention import attend_in_single_precision
from langgraph_cooper.graph.training.generator.learner import CausalLearner, Seq2SeqLearner
from langgraph_cooper.graph.training.generator.packing import (
    LearnedDialogue,
    LearnedTurn,
    packs_of,
)
from langgraph_cooper.nodes.finetuned.format import Budgets, Kind, TopicLine
from langgraph_cooper.ranker.data.dialogue import Utterance
from langgraph_cooper.ranker.model.lora import adapter_tensors, merge_adapters
from tests.support.tiny_bases import tiny_base

BUDGETS = Budgets(history=90, states=30, topics=40, reply=30)


def dialogue(turns: int = 6) -> LearnedDialogue:
    utterances = tuple(
        Utterance("user" if place % 2 == 0 else "system", f"word {place} " + "x" * place)
        for place in range(2 * turns)
    )
    learned = tuple(
        LearnedTurn(
            index=place,
            states={"exploration": f"state {place}"},
            topics=(TopicLine("Question", f"topic {place}"), TopicLine("Others", "another")),
        )
        for place in range(1, 2 * turns, 2)
    )
    return LearnedDialogue(utterances=utterances, turns=learned)


def one_by_one(model: torch.nn.Module, kind: Kind, learned: LearnedDialogue) -> list[float]:
    """The losses of a dialogue's reply tokens, with one plain sequence per turn."""
    form = tiny_base(kind).format(BUDGETS)
    losses = []
    for turn in learned.turns:
        prompt = form.prompt(learned.given(turn))
        reply = form.reply(learned.utterances[turn.index].text)
        ids = torch.tensor([prompt + reply])
        logits = model(input_ids=ids).logits[0, len(prompt) - 1 : -1]
        losses += torch.nn.functional.cross_entropy(
            logits, torch.tensor(reply), reduction="none"
        ).tolist()
    return losses


def test_a_packed_conversation_has_the_losses_of_one_sequence_per_turn() -> None:
    base = tiny_base("causal")
    packs = packs_of(dialogue(), base.format(BUDGETS))
    assert len(packs) > 2  # the window of the history moves, so that every case is met
    assert max(len(pack.branches) for pack in packs) > 1
    learner = CausalLearner(base.model)
    with torch.no_grad():
        packed = [loss for pack in packs for part in learner.losses(pack) for loss in part.tolist()]
        alone = one_by_one(base.model, "causal", dialogue())
    assert sorted(packed) == pytest.approx(sorted(alone), abs=1e-4)


def test_the_gradients_are_those_of_one_sequence_per_turn() -> None:
    base = tiny_base("causal")
    packs = packs_of(dialogue(3), base.format(BUDGETS))
    learner = CausalLearner(base.model)
    torch.cat([part for pack in packs for part in learner.losses(pack)]).sum().backward()
    packed = base.model.model.layers[0].self_attn.k_proj.weight.grad.clone()
    base.model.zero_grad()
    form = base.format(BUDGETS)
    for turn in dialogue(3).turns:
        prompt = form.prompt(dialogue(3).given(turn))
        reply = form.reply(dialogue(3).utterances[turn.index].text)
        logits = base.model(input_ids=torch.tensor([prompt + reply])).logits[0]
        torch.nn.functional.cross_entropy(
            logits[len(prompt) - 1 : -1], torch.tensor(reply), reduction="sum"
        ).backward()
    alone = base.model.model.layers[0].self_attn.k_proj.weight.grad
    torch.testing.assert_close(packed, alone, atol=1e-3, rtol=1e-3)


def test_the_quick_product_is_pefts() -> None:
    from peft import LoraConfig, inject_adapter_in_model

    ours, theirs = tiny_base("causal").model, tiny_base("causal").model
    config = adapter_config("causal", rank=4, alpha=8)
    adapters = Adapters(ours, config)
    inject_adapter_in_model(
        LoraConfig(r=4, lora_alpha=8, target_modules=list(config.targets)), theirs
    )
    torch.manual_seed(3)
    state = {
        name: torch.randn_like(value) * 0.1
        for name, value in theirs.state_dict().items()
        if ".lora_" in name
    }
    for model in (ours, theirs):
        model.load_state_dict(state, strict=False)
    adapters.merge(torch.float32)
    ids = torch.arange(2, 30)[None]
    losses = [model(input_ids=ids, labels=ids).loss for model in (ours, theirs)]
    torch.testing.assert_close(losses[0], losses[1])
    for loss in losses:
        loss.backward()
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        if ".lora_" in name:
            torch.testing.assert_close(parameter.grad, expected[name].grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["causal", "seq2seq"])
def test_training_learns_a_conversation_and_its_adapters_merge(kind: Kind) -> None:
    base = tiny_base(kind)
    plain = copy.deepcopy(base.model)
    config = adapter_config(kind, rank=8, alpha=16)
    adapters = Adapters(base.model, config)
    learner = {"causal": CausalLearner, "seq2seq": Seq2SeqLearner}[kind](base.model, adapters)
    packs = packs_of(dialogue(3), base.format(BUDGETS))
    optimizer = torch.optim.AdamW([p for p in base.model.parameters() if p.requires_grad], 1e-2)
    losses = []
    for _ in range(25):
        loss = learner(packs)["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    merge_adapters(plain, config, adapter_tensors(base.model))
    alone = {"causal": CausalLearner, "seq2seq": Seq2SeqLearner}[kind](plain)
    with torch.no_grad():
        assert float(alone(packs)["loss"]) == pytest.approx(float(learner(packs)["loss"]), abs=1e-4)


@pytest.mark.parametrize("mask", ["none", "boolean", "of numbers"])
def test_attention_in_single_precision_is_that_of_the_kernel(mask: str) -> None:
    """Also under autocast, which would turn it to bfloat16; a mask keeps its meaning."""
    patched, plain = tiny_base("causal").model.eval(), tiny_base("causal").model.eval()
    attend_in_single_precision(patched)
    ids = torch.arange(2, 22)[None]
    sees = torch.ones(20, 20, dtype=torch.bool).tril()[None, None]
    sees[..., 12:, :4] = False
    numbers = torch.zeros(sees.shape).masked_fill(~sees, torch.finfo(torch.float32).min)
    given = {"none": None, "boolean": sees, "of numbers": numbers}[mask]
    with torch.inference_mode():
        expected = plain(input_ids=ids, attention_mask=given).logits
        found = patched(input_ids=ids, attention_mask=given).logits
        with torch.autocast("cpu", torch.bfloat16):
            half = patched(input_ids=ids, attention_mask=given).logits
            other = patched(input_ids=ids).logits
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(half.float(), expected, atol=0.2, rtol=0.2)
    assert (mask == "none") == torch.equal(half, other)
