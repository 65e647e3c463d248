from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from langgraph_cooper.graph.evaluation.generation import RealTurn, RealTurns
from langgraph_cooper.graph.evaluation.perplexity import (
    Surprise,
    perplexity_report,
    surprise,
)
from langgraph_cooper.graph.training.generator.packing import LearnedDialogue, LearnedTurn
from langgraph_cooper.nodes.finetuned.format import Kind, TopicLine
from langgraph_cooper.prompts import load_task
from langgraph_cooper.ranker.data.dialogue import (
    AnnotatedDialogue,
    AnnotatedTurn,
    Dialogue,
    LabelledUtterance,
)
from tests.support.voices import tiny_voice

ESC = load_task("esc")
SAID = ("I lost my dog.", "Oh.", "Yes, last week, and it rained all day long.", "What is its name?")
LONG = (*SAID, "Rex.", "How do you look for him? Who helps?", "My brother.", "Good.")


def conversation(name: str, said: tuple[str, ...]) -> tuple[AnnotatedDialogue, LearnedDialogue]:
    utterances = tuple(
        LabelledUtterance(speaker="system" if place % 2 else "user", text=text)
        for place, text in enumerate(said)
    )
    places = range(1, len(said), 2)
    states = {"action": "None yet."}
    turns = tuple(AnnotatedTurn(index=place, states=states, candidates=()) for place in places)
    annotated = AnnotatedDialogue(id=name, utterances=utterances, turns=turns, final_states=states)
    learned = tuple(
        LearnedTurn(index=at, states=states, topics=(TopicLine("Question", f"topic {at}"),))
        for at in places
    )
    plain = tuple(annotated.history(len(utterances)))
    return annotated, LearnedDialogue(utterances=plain, turns=learned)


def real_turns(*dialogues: AnnotatedDialogue) -> RealTurns:
    plain = [Dialogue(id=each.id, utterances=each.utterances) for each in dialogues]
    return RealTurns.of(plain, ESC)


@pytest.mark.parametrize("kind", ["causal", "seq2seq"])
def test_each_reply_costs_what_it_costs_alone(kind: Kind, tmp_path: Path) -> None:
    pairs = [conversation("a", SAID), conversation("b", LONG)]
    annotated, shown = zip(*pairs, strict=True)
    turns = real_turns(*annotated).only([0, 2, 3, 5])  # also where turns between are left out
    voice = tiny_voice(tmp_path, kind)
    counted: list[int] = []
    kept = tmp_path / "costs.jsonl"
    found = surprise(voice, annotated, shown, turns, kept, done=counted.append)
    base = voice.merged()
    form = base.format(voice.config.budgets)
    for row, turn in enumerate(turns.turns):
        learned = shown["ab".index(turn.dialogue.id)]
        given = learned.given(next(each for each in learned.turns if each.index == turn.index))
        prompt, reply = form.prompt(given), form.reply(turn.reference)
        whole = kind == "causal"
        ids = torch.tensor([prompt + reply if whole else prompt])
        labels = torch.tensor([[*([-100] * len(prompt) if whole else []), *reply]])
        with torch.no_grad():
            loss = base.model(input_ids=ids, labels=labels).loss
        assert found.nats[row] == pytest.approx(float(loss) * len(reply), rel=1e-4)
        assert found.tokens[row] == len(reply)
    assert sum(counted) == 4
    for weights in voice.folder.glob("*.safetensors"):
        weights.unlink()  # what was measured is kept: nothing is loaded
    again = surprise(voice, annotated, shown, turns, kept, done=counted.append)
    assert again.nats.tolist() == found.nats.tolist()
    assert sum(counted) == 8
    assert found.perplexity == pytest.approx(math.exp(found.nats.sum() / found.tokens.sum()))


def test_perplexities_are_compared_over_dialogues() -> None:
    said = conversation("a", SAID)[0].utterances
    dialogues = [Dialogue(id=str(number), utterances=said) for number in range(12)]
    turns = RealTurns(ESC, [RealTurn(each, at) for each in dialogues for at in (1, 3)])
    tokens = np.tile([2.0, 6.0], 12)
    first = Surprise(tokens * math.log(8), tokens)
    worse = Surprise(tokens * math.log(10), tokens)
    odd = Surprise(first.nats + np.repeat([1.0, -1.0] * 6, 2), tokens)
    found = perplexity_report(turns, {"first": first, "worse": worse, "odd": odd}, samples=500)
    assert found["tokens"] == 96
    assert found["systems"] == {"first": 8.0, "worse": 10.0, "odd": 8.0}
    assert found["p_values"] == {"worse": pytest.approx(1 / 501, abs=1e-6), "odd": 1.0}
    alone = RealTurns(ESC, turns.turns[:2])
    one = Surprise(first.nats[:2], tokens[:2]), Surprise(worse.nats[:2], tokens[:2])
    told = perplexity_report(alone, {"first": one[0], "worse": one[1]}, samples=50)
    assert told["p_values"] == {"worse": 1.0}  # nothing to resample
