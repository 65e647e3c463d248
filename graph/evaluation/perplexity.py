"""How well a fine-tuned generator expects what was really said: its perplexity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langgraph_cooper.graph.evaluation.generation import RealTurns
from langgraph_cooper.graph.training.generator.packing import LearnedDialogue, packs_of
from langgraph_cooper.nodes.finetuned.checkpoint import VoiceCheckpoint
from langgraph_cooper.ranker.data.dialogue import AnnotatedDialogue
from langgraph_cooper.ranker.evaluation.metrics import Resamples

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Surprise:
    """What real replies cost a generator.

    Attributes:
        nats: [T] negative log-likelihood of each reply, the sum over its tokens.
        tokens: [T] number of its tokens.
    """

    nats: Floats
    tokens: Floats

    @property
    def perplexity(self) -> float:
        """The exponential of the mean loss of a token."""
        return float(np.exp(self.nats.sum() / self.tokens.sum()))


def surprise(
    checkpoint: VoiceCheckpoint,
    annotated: Sequence[AnnotatedDialogue],
    shown: Sequence[LearnedDialogue],
    turns: RealTurns,
    *,
    done: Callable[[int], None] = lambda _: None,
) -> Surprise:
    """Measure what the real replies cost a generator, each with what it is shown at that turn.

    Args:
        checkpoint: The generator.
        annotated: Conversations.
        shown: [C] the states and topics that it is shown in each conversation with turns.
        turns: The turns to measure, all of them in these conversations.
        done: Called with the number of turns measured.

    Raises:
        VoiceError: The generator cannot be loaded.
    """
    import torch

    from langgraph_cooper.graph.training.generator.train import learner_of

    base = checkpoint.merged()
    base.model.eval()
    learner = learner_of(base)
    form = base.format(checkpoint.config.budgets)
    wanted = {(turn.dialogue.id, turn.index): row for row, turn in enumerate(turns.turns)}
    nats, tokens = np.zeros(len(wanted)), np.zeros(len(wanted))
    with_turns = [each for each in annotated if each.turns]
    for dialogue, prepared in zip(with_turns, shown, strict=True):
        kept = tuple(turn for turn in prepared.turns if (dialogue.id, turn.index) in wanted)
        packs = packs_of(prepared.model_copy(update={"turns": kept}), form)
        with torch.inference_mode():
            losses = [loss for pack in packs for loss in learner.losses(pack)]
        for turn, found in zip(kept, losses, strict=True):
            row = wanted[dialogue.id, turn.index]
            nats[row], tokens[row] = float(found.sum()), len(found)
        done(len(kept))
    return Surprise(nats, tokens)


def perplexity_report(
    turns: RealTurns, found: Mapping[str, Surprise], *, samples: int = 10_000, seed: int = 0
) -> dict[str, Any]:
    """Compare the perplexities of generators.

    Args:
        turns: The turns.
        found: System -> what their replies cost it; the first is compared with each other one.
        samples: Resamples of the paired bootstrap, over dialogues.
        seed: Seed of the bootstrap.

    Returns:
        `tokens`, `systems` (system -> perplexity) and `p_values` (system -> p of the difference of
        its mean loss of a token from the first system's, two-sided).
    """
    first, *others = found
    numbers: dict[str, int] = {}
    groups = [numbers.setdefault(turn.dialogue.id, len(numbers)) for turn in turns.turns]
    resamples = Resamples(len(numbers), samples, seed)
    ours = found[first]

    def p_value(theirs: Surprise) -> float:
        sums = np.zeros((len(numbers), 2))  # [G, 2] nats by which they differ; tokens
        np.add.at(sums, groups, np.stack([theirs.nats - ours.nats, ours.tokens], axis=1))
        drawn = resamples.sums(sums)  # [S, 2]
        differences = drawn[:, 0] / drawn[:, 1]
        observed = abs(sums[:, 0].sum() / sums[:, 1].sum())
        extreme = np.abs(differences - differences.mean()) >= observed - 1e-12
        return 1.0 if len(numbers) < 2 else float((extreme.sum() + 1) / (samples + 1))

    return {
        "tokens": int(ours.tokens.sum()),
        "systems": {name: round(one.perplexity, 3) for name, one in found.items()},
        "p_values": {name: round(p_value(found[name]), 6) for name in others},
    }
